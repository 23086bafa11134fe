/**
 * Flow control: bytes that each tab has received and not yet applied; reading waits for slow tabs.
 */

/** Maximum unapplied bytes; above it reading stops, which pauses the generators. */
export const MAX_UNAPPLIED_BYTES = 4 * 1024 * 1024;

/** Timeout for a tab over the limit that applies nothing; the others then stop waiting for it. */
const STUCK_TIMEOUT_MS = 2000;

interface State {
  sent: number;
  applied: number;
  /** Timeout while the tab is over the limit; restarted whenever it applies something. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the tab has timed out; reset when it applies something. */
  isStuck: boolean;
}

export type Flow = ReturnType<typeof createFlow>;

export function createFlow(onStuck: (tab: string) => void) {
  const states = new Map<string, State>();
  let waiting: (() => void)[] = [];

  const isOver = ({sent, applied}: State) => sent - applied > MAX_UNAPPLIED_BYTES;

  const isBlocked = () => [...states.values()].some((one) => isOver(one) && !one.isStuck);

  function markStuck(tab: string, state: State): void {
    state.timer = undefined;
    state.isStuck = true;
    onStuck(tab);
    release();
  }

  function release(): void {
    if (isBlocked()) return;
    const released = waiting;
    waiting = [];
    for (const resolve of released) resolve();
  }

  function forget(tab: string): void {
    clearTimeout(states.get(tab)?.timer);
    states.delete(tab);
    release();
  }

  function watch(tab: string, state: State): void {
    if (isOver(state)) state.timer ??= setTimeout(() => markStuck(tab, state), STUCK_TIMEOUT_MS);
  }

  return {
    /** Starts counting for a tab from zero. */
    begin(tab: string): void {
      forget(tab);
      states.set(tab, {sent: 0, applied: 0, timer: undefined, isStuck: false});
    },
    forget,
    sent(tab: string, bytes: number): void {
      const state = states.get(tab);
      if (!state) return;
      state.sent += bytes;
      watch(tab, state);
    },
    applied(tab: string, bytes: number): void {
      const state = states.get(tab);
      if (!state || bytes <= state.applied) return;
      state.applied = bytes;
      state.isStuck = false;
      clearTimeout(state.timer);
      state.timer = undefined;
      watch(tab, state);
      release();
    },
    /** Waits until no tab is over the limit, except those that have timed out. */
    drained: () =>
      isBlocked() ? new Promise<void>((resolve) => waiting.push(resolve)) : undefined,
  };
}
