/** Script of the waitlist; see lazy_waitlist.ts. */

import {createRoom} from "./room.ts";
import {clientside} from "../dash/store.ts";

clientside()["flash_events_room"] = createRoom;
