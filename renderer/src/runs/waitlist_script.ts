/** Script of the waitlist; see lazy_waitlist.ts. */

import {createWaitlist} from "./waitlist.ts";
import {clientside} from "../dash/store.ts";

clientside()["flash_events_waitlist"] = createWaitlist;
