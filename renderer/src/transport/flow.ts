/** How much each tab has been sent and not yet applied, and who has to wait for whom. */

/** Above this much unapplied data nothing more is read, which pauses the generators. */
export const UNAPPLIED_BYTES = 4 * 1024 * 1024;

/** A tab that applies nothing for so long while others wait for it stands in their way. */
const PATIENCE_MS = 2000;

interface State {
  sent: number;
  applied: number;
  /** Runs while the tab is over the limit, anew whenever it has applied something. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Nobody waits for it any more, until it applies something. */
  isStuck: boolean;
}

export type Flow = ReturnType<typeof createFlow>;

export function createFlow(onStuck: (tab: string) => void) {
  const states = new Map<string, State>();
  let waiting: (() => void)[] = [];

  const isOver = ({sent, applied}: State) => sent - applied > UNAPPLIED_BYTES;

  const isInTheWay = () => [...states.values()].some((one) => isOver(one) && !one.isStuck);

  function stuck(tab: string, state: State): void {
    state.timer = undefined;
    state.isStuck = true;
    onStuck(tab);
    release();
  }

  function release(): void {
    if (isInTheWay()) return;
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
    if (isOver(state)) state.timer ??= setTimeout(() => stuck(tab, state), PATIENCE_MS);
  }

  return {
    /** A tab has nothing to apply of what this worker sends from now on. */
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
    /** Resolves when no tab is over the limit, other than those that are stuck. */
    drained: () =>
      isInTheWay() ? new Promise<void>((resolve) => waiting.push(resolve)) : undefined,
  };
}
