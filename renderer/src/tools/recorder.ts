/** Records the streams of a page that a test drives, for `flash_events/testing/page.py`. */

import {createRecordings, recordingOf} from "./recordings.ts";
import {clientside} from "../dash/store.ts";
import {subscribe} from "../runs/subscribers.ts";

const page = clientside();

if (!page["flash_events_recorder"]) {
  const recordings = createRecordings(() => Date.now());
  const find = (run: string) => recordings.list().find((one) => one.run === run);
  subscribe(recordings.accept);
  page["flash_events_recorder"] = {
    /** Returns the ids of an event callback's runs, in the order of their starts. */
    runs: (callback: string) =>
      recordings
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
