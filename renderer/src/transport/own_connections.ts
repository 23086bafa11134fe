/** The script of connections that a page owns itself; see owned.ts. */

import {createConnections} from "./connection.ts";
import {clientside} from "../dash/store.ts";

clientside()["flash_events_connections"] = createConnections;
