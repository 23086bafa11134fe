/** Fakes of Dash, of the server and of dcc.Graph. */

import type {CallbackContext, Entry, Pending} from "../src/dash/types.ts";
import type {Dash} from "../src/dash/dash.ts";
import type {
  AttachFields,
  Connections,
  ConnectionState,
  Host,
  Position,
  RequestOptions,
  StartFields,
  StopFields,
} from "../src/transport/host.ts";
import {withFields} from "../src/transport/endpoint.ts";
import {isDictId, isWildcard, parseId, type WireId} from "../src/ids.ts";
import {Instance} from "../src/dash/instance.ts";
import type {Props} from "../src/protocol.ts";

/** Returns the UTF-8 bytes of a text. */
export const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Returns a seeded random generator of numbers from 0 to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return {promise, resolve, reject};
}

/** A queue: `next` returns the items in order and waits for one that is missing. */
function mailbox<T>() {
  const items: T[] = [];
  const waiting: ((item: T) => void)[] = [];
  return {
    put(item: T) {
      const next = waiting.shift();
      if (next) next(item);
      else items.push(item);
    },
    next(): Promise<T> {
      const item = items.shift();
      return item ? Promise.resolve(item) : new Promise((resolve) => waiting.push(resolve));
    },
    /** Number of items that were not taken. */
    size: () => items.length,
  };
}

type Patch = {readonly __dash_patch_update: string; readonly operations: readonly unknown[]};

/**
 * Returns a Patch; the fake page appends its operations to the prop, so that their order is
 * visible.
 */
export const patch = (...operations: unknown[]): Patch => ({
  __dash_patch_update: "__dash_patch_update",
  operations,
});

const isPatch = (value: unknown): value is Patch =>
  typeof value === "object" && value !== null && "__dash_patch_update" in value;

/** Returns a prop's value after a value or a Patch was set. */
export function setOrPatch(before: unknown, value: unknown): unknown {
  return isPatch(value) ? [...(before as unknown[]), ...value.operations] : value;
}

export type Setting = readonly [id: WireId, props: Props];

/** A component in a value; it replaces the container's other components. */
export const node = (id: WireId, props: Props = {}): object => ({type: "Div", props: {id, ...props}});

const isNode = (value: unknown): value is {props: Props & {id: WireId}} =>
  typeof value === "object" && value !== null && "type" in value && "props" in value;

/** A fake Dash page: components with their props, and a list of all commits. */
export function fakePage(
  layout: Readonly<Record<WireId, Props>>,
  entries: readonly Entry[] = [],
) {
  const components = new Map<WireId, Record<string, unknown>>();
  for (const [id, props] of Object.entries(layout)) components.set(id, {...props});
  const commits: Setting[][] = [];
  const errors: string[] = [];
  const unmounted = new Set<WireId>();
  const types = new Map<WireId, string>();
  const containers = new Map<WireId, WireId>();
  const elements = new Map<WireId, object>();
  const instances = new Map<WireId, Instance>();
  const answered: object[] = [];
  const state = {
    isReady: true,
    pending: [] as Pending[],
    onSet: (_id: WireId, _props: Props): unknown => undefined,
    beforeRequest: (_body: object): void => undefined,
  };
  let drawing = {};
  let current: Setting[] | undefined;

  function insert(id: WireId, props: Props, container?: WireId): void {
    components.set(id, {...props});
    instances.delete(id);
    drawing = {};
    if (container !== undefined) containers.set(id, container);
    draw(id, props["children"]);
  }

  /** Adds the components in a value to the page. */
  function draw(container: WireId, value: unknown): void {
    for (const one of [value].flat()) {
      if (isNode(one)) insert(one.props.id, one.props, container);
    }
  }

  function clear(container: WireId): void {
    for (const [id, one] of containers) {
      if (one !== container) continue;
      clear(id);
      containers.delete(id);
      components.delete(id);
    }
  }

  function isInside(id: WireId, container: WireId): boolean {
    if (id === container) return true;
    const outer = containers.get(id);
    return outer !== undefined && isInside(outer, container);
  }

  const dash: Dash = {
    isReady: () => state.isReady,
    entry: (id) => entries.find((one) => one.output === id),
    entries: () => [...entries],
    has: (id) => components.has(id),
    isMounted: (id) => components.has(id) && !unmounted.has(id),
    elementOf(id) {
      if (!dash.isMounted(id)) return null;
      const element = elements.get(id) ?? {};
      elements.set(id, element);
      return element as Element;
    },
    typeOf: (id) => types.get(id) ?? "lib.Div",
    draws: (id, prop, value) =>
      prop === "children" &&
      ([value, components.get(id)?.["children"]].flat().some(isNode) ||
        (isPatch(value) && value.operations.some(isNode))),
    isInside,
    removeProp: (id, prop) => void Reflect.deleteProperty(components.get(id) ?? {}, prop),
    get: (id, property) => components.get(id)?.[property],
    instance(id) {
      if (!components.has(id)) return undefined;
      if (!instances.has(id)) instances.set(id, new Instance());
      return instances.get(id);
    },
    fresh: (id) => dash.expand(id).filter((one) => dash.instance(one)?.isNew),
    layout: () => drawing,
    pending: () => state.pending,
    expand(id) {
      if (!isDictId(id)) return [id];
      const pattern = Object.entries(parseId(id));
      if (!pattern.some(([, value]) => isWildcard(value))) return [id];
      return [...components.keys()].filter((one) => {
        if (!isDictId(one)) return false;
        const candidate = parseId(one);
        return (
          Object.keys(candidate).length === pattern.length &&
          pattern.every(([key, v]) => key in candidate && (isWildcard(v) || candidate[key] === v))
        );
      });
    },
    set(id, props) {
      if (!current) throw new Error(`"${id}" is set outside of a commit`);
      current.push([id, props]);
      const component = components.get(id);
      if (!component) throw new Error(`"${id}" is not on the page`);
      for (const [prop, value] of Object.entries(props)) {
        component[prop] = setOrPatch(component[prop], value);
        if (prop !== "children") continue;
        if (!isPatch(value)) clear(id);
        draw(id, isPatch(value) ? value.operations : value);
      }
      state.onSet(id, props);
    },
    commit(work) {
      current = [];
      work();
      if (current.length) commits.push(current);
      current = undefined;
    },
    subscribe: () => undefined,
    showError: (message, details) => errors.push(`${message}: ${details}`),
    url: (action) => `/_dash-flash-events/${action}`,
    headers: () => ({}),
    beforeRequest: (body) => state.beforeRequest(body),
    afterRequest: (body) => void answered.push(body),
    refreshToken: () => Promise.resolve(false),
  };

  return {
    dash,
    commits,
    errors,
    state,
    /** Bodies that the page's `request_post` hook was called with. */
    answered,
    /** Sets props like a user or an ordinary callback. */
    change(id: WireId, props: Props) {
      Object.assign(components.get(id) ?? {}, props);
    },
    /** Draws a component, or redraws it if it is on the page. */
    insert,
    setType: (id: WireId, type: string) => void types.set(id, type),
    /** Mounts or unmounts a component of the layout. */
    show(id: WireId, isShown: boolean) {
      if (isShown) unmounted.delete(id);
      else {
        unmounted.add(id);
        elements.delete(id);
      }
    },
    remove(id: WireId) {
      components.delete(id);
      instances.delete(id);
    },
    /** Returns all settings of one component, in order. */
    setsOf: (id: WireId) => commits.flat().flatMap(([one, props]) => (one === id ? [props] : [])),
  };
}

/** Animation frames that the test runs. */
export function fakeFrames() {
  let waiting: (() => void)[] = [];
  return {
    next: (callback: () => void): void => void waiting.push(callback),
    run() {
      const due = waiting;
      waiting = [];
      for (const callback of due) callback();
    },
    /** Runs frames until none is requested. */
    runAll() {
      while (waiting.length) this.run();
    },
    size: () => waiting.length,
  };
}

/** Returns an entry of `_dash-dependencies`: callback "cb", started by `go.n_clicks`. */
export function entryOf(
  ours: Partial<Entry["flash_events"]> = {},
  dashs: Partial<Omit<Entry, "flash_events">> = {},
): Entry {
  return {
    output: "cb",
    inputs: [{id: "go", property: "n_clicks"}],
    state: [],
    prevent_initial_call: true,
    ...dashs,
    flash_events: {
      overlap: "restart",
      keepAlive: false,
      onDisconnect: "cancel",
      cancel: [],
      reset: [],
      running: [],
      ...ours,
    },
  };
}

/** Returns the context that Dash sets when one Input has changed. */
export function changed(id: WireId, property: string, value: unknown): CallbackContext {
  return {
    inputs_list: [{id: isDictId(id) ? parseId(id) : id, property, value}],
    states_list: [],
    triggered: [{prop_id: `${id}.${property}`, value}],
  };
}

interface StartRequest {
  readonly body: object;
  readonly fields: StartFields;
  readonly survives: boolean;
  answer(connection: string): void;
  refuse(error: unknown): void;
}

interface AttachRequest {
  readonly fields: AttachFields;
  answer(connection: string): void;
  refuse(error: unknown): void;
}

/** Connections that record their requests; the test answers starts and attaches. */
export function fakeConnections() {
  const starts = mailbox<StartRequest>();
  const attaches = mailbox<AttachRequest>();
  const stops: (readonly string[])[] = [];
  const stoppedCallbacks: (readonly string[])[] = [];
  const closes: StopFields[] = [];
  const connections: Pick<Connections, "start" | "attach" | "stop" | "close"> = {
    start(body, fields, survives) {
      const {promise, resolve, reject} = deferred<string>();
      starts.put({body: JSON.parse(body) as object, fields, survives, answer: resolve, refuse: reject});
      return promise;
    },
    attach(fields) {
      const {promise, resolve, reject} = deferred<string>();
      attaches.put({fields, answer: resolve, refuse: reject});
      return promise;
    },
    stop({runs, callbacks}) {
      if (callbacks) stoppedCallbacks.push(callbacks);
      else stops.push(runs);
      return Promise.resolve();
    },
    close: (fields) => void closes.push(fields),
  };
  return {connections, starts, attaches, stops, stoppedCallbacks, closes};
}

/** A fake of the tab's storage. */
export function fakeStorage(stored: Record<string, string> = {}) {
  return {
    stored,
    read: (key: string) => stored[key] ?? null,
    write: (key: string, text: string) => void (stored[key] = text),
  };
}

export type FakeRequest = ReturnType<typeof requestOf>;

function requestOf(action: string, fields: object, {body, ...options}: RequestOptions) {
  const {promise, resolve, reject} = deferred<Response>();
  options.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
  return {
    action,
    body: JSON.parse(withFields(body ?? "{}", fields)) as object,
    options,
    promise,
    envelope: fields as Readonly<Record<string, unknown>>,
    json: (status: number, fields: object, headers: Record<string, string> = {}) =>
      resolve(new Response(status === 204 ? null : JSON.stringify(fields), {status, headers})),
    text: (status: number, text: string) => resolve(new Response(text, {status})),
    fail: () => reject(new TypeError("fetch failed")),
    /** Answers with an event stream; an abort of the request cuts it, as in fetch. */
    stream() {
      let controller!: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({start: (one) => void (controller = one)});
      options.signal?.addEventListener("abort", () => {
        controller.error(new DOMException("", "AbortError"));
      });
      resolve(new Response(body, {headers: {"Content-Type": "text/event-stream"}}));
      return {
        send: (...texts: string[]) => texts.forEach((one) => controller.enqueue(bytesOf(one))),
        sendBytes: (bytes: Uint8Array) => controller.enqueue(bytes),
        end: () => controller.close(),
        cut: () => controller.error(new TypeError("network error")),
      };
    },
  };
}

/**
 * A host whose requests the test answers, with a record of its calls. Answers to heartbeats are in
 * `answers`.
 */
export function fakeHost() {
  const requests = mailbox<FakeRequest>();
  const answers: FakeRequest[] = [];
  const events: {type: string; run: string; bytes: number}[] = [];
  const positions: Position[] = [];
  const lost: string[] = [];
  const commands: string[] = [];
  const warnings: string[] = [];
  const states: [ConnectionState, number | undefined][] = [];
  const state = {
    drained: undefined as Promise<void> | undefined,
    onEvent: (_run: string): void => undefined,
  };
  const host: Host = {
    post(action, fields, options) {
      const request = requestOf(action, fields, options);
      if (action === "alive") answers.push(request);
      else requests.put(request);
      return request.promise;
    },
    onEvent(event, bytes, position) {
      state.onEvent(event.run);
      positions.push(position);
      events.push({...event, bytes});
    },
    drained: () => state.drained,
    onCommands: (props) => commands.push(...props),
    onLost: (connection) => lost.push(connection),
    onState: (state, retryMs) => states.push([state, retryMs]),
    warn: (message) => warnings.push(message),
  };
  return {host, requests, answers, events, positions, lost, commands, warnings, states, state};
}

/**
 * A dcc.Graph as graph.ts finds it in the document: it applies its whole queue on every change, and
 * empties it only after Plotly has drawn. An error of Plotly ends its promise chain.
 */
export function fakeGraph({isDrawn = true, data = [] as object[]} = {}) {
  const state: {extendData: unknown[]; prependData: unknown[]} = {extendData: [], prependData: []};
  const applied: unknown[] = [];
  let hasPlot = isDrawn;
  let drawing = deferred<void>();
  const plot = {data};
  const inner = {
    _queue: Promise.resolve() as Promise<unknown>,
    props: {clearState: (prop: "extendData" | "prependData") => void (state[prop] = [])},
  };
  return {
    applied,
    inner,
    element: {
      "__reactFiber$test": {stateNode: inner, return: {stateNode: {state}, return: null}},
      classList: {contains: (name: string) => name === "dash-graph"},
      querySelector: () => (hasPlot ? plot : null),
    },
    /** `refusal` is Plotly's error for a value. */
    receive(value: unknown, refusal?: (value: unknown) => string | undefined) {
      state.extendData.push(value);
      const given = [...state.extendData];
      const {promise} = drawing;
      inner._queue = inner._queue.then(async () => {
        for (const one of given) {
          const reason = refusal?.(one);
          if (reason) throw new Error(reason);
          applied.push(one);
        }
        await promise;
        setTimeout(() => (state.extendData = []), 0); // React renders later
      });
    },
    draw() {
      hasPlot = true;
      drawing.resolve();
      drawing = deferred();
    },
  };
}

/** Web Locks that the test holds and releases. */
export function fakeLocks() {
  const held = new Set<string>();
  const waiting = new Map<string, (() => void)[]>();
  return {
    hold(name: string) {
      held.add(name);
      return Promise.resolve(() => this.release(name));
    },
    release(name: string) {
      held.delete(name);
      const told = waiting.get(name) ?? [];
      waiting.delete(name);
      for (const resolve of told) resolve();
    },
    whenFree(name: string, signal?: AbortSignal): Promise<void> {
      if (!held.has(name)) return Promise.resolve();
      return new Promise((resolve, reject) => {
        waiting.set(name, [...(waiting.get(name) ?? []), resolve]);
        signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      });
    },
    isHeld: (name: string) => held.has(name),
  };
}
