/** Script of a page's own connections; see lazy_connections.ts. */

import {createConnections} from "./connection.ts";
import {clientside} from "../dash/store.ts";

clientside()["flash_events_connections"] = createConnections;
