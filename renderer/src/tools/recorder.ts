/** Records the streams of a page that a test drives, for `flash_events/testing/page.py`. */

import {createRecords, recordingOf} from "./records.ts";
import {clientside} from "../dash/store.ts";
import {watch} from "../runs/watchers.ts";

const page = clientside();

if (!page["flash_events_recorder"]) {
  const records = createRecords(() => Date.now());
  const find = (run: string) => records.list().find((one) => one.run === run);
  watch(records.accept);
  page["flash_events_recorder"] = {
    /** Returns the ids of an event callback's runs, in the order of their starts. */
    runs: (callback: string) =>
      records
        .list()
        .filter((one) => one.callback === callback)
        .sort((a, b) => a.number - b.number)
        .map(({run}) => run),
    seen(run: string) {
      const found = find(run);
      return found && {state: found.state, updates: found.updates};
    },
    recording(run: string) {
      const found = find(run);
      return found && recordingOf(found);
    },
  };
}
