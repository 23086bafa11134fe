/** The script of starts that wait for room; see lazy_room.ts. */

import {createRoom} from "./room.ts";
import {clientside} from "../dash/store.ts";

clientside()["flash_events_room"] = createRoom;
