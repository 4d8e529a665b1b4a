// What the server answers, read once: from here on there are only valid types. An answer that is
// not as it should be is an error that says where.

// A column has a number for each core, in the order of the cores.
export type Column = readonly number[];

// Observations by bucket, of each core; the last bucket has no bound.
export interface CoreHistogram {
  readonly boundsUs: readonly number[];
  readonly counts: readonly Column[];
}

export interface DrainState {
  readonly beganUnixMs: number;
  readonly overMs: number;
}

// All numbers of the server at one moment. Names are those of the server.
export interface Sample {
  readonly instance: string;
  readonly version: string;
  readonly nowUnixMs: number;
  readonly beganUnixMs: number;
  readonly readiness: string;
  readonly storeState: string;
  readonly drain: DrainState | null;
  readonly coresCount: number;
  readonly cores: ReadonlyMap<string, Column>;
  readonly phases: readonly string[];
  readonly latency: ReadonlyMap<string, CoreHistogram>;
  readonly process: ReadonlyMap<string, number>;
  // What the application's backend is asked.
  readonly hooks: ReadonlyMap<string, number>;
  // What it is told of who is there; none where it wants to hear nothing.
  readonly presenceFeed: ReadonlyMap<string, number> | null;
  // None where no namespace keeps anything.
  readonly store: ReadonlyMap<string, number> | null;
}

export type Role = 'see' | 'act';

export interface SessionAnswer {
  readonly operator: string;
  readonly role: Role;
  readonly csrf: string;
  readonly leftMs: number;
  readonly instance: string;
}

export interface TenantRow {
  readonly tenant: string;
  readonly connections: number;
  readonly opened: number;
  readonly published: number;
  readonly delivered: number;
  readonly failed: number;
}

export interface RoomRow {
  readonly core: number;
  readonly tenant: string;
  readonly channel: string;
  readonly members: number;
}

export interface RoomsPage {
  readonly madeUnixMs: number;
  readonly rooms: readonly RoomRow[];
  readonly pages: number;
  readonly roomsCount: number;
  readonly silentCores: readonly number[];
}

export interface ConnectionRow {
  readonly core: number;
  readonly client: string;
  readonly user: string;
  readonly tenant: string;
  readonly ageSeconds: number;
  readonly encoding: string;
  readonly userAgent: string;
  readonly channels: number;
  readonly outboxBytes: number;
  readonly tasks: number;
  readonly peer: string;
}

export interface ConnectionsPage {
  readonly connections: number;
  readonly silentCores: readonly number[];
  readonly rows: readonly ConnectionRow[];
}

export interface FlightRow {
  readonly timeUnixMs: number;
  // A core's number, or `store`.
  readonly core: string;
  readonly layer: string;
  readonly kind: string;
  readonly reason: string;
  readonly room: string;
  readonly userAgent: string;
  readonly valueSeconds: number | null;
  readonly traceId: string;
}

export interface QuarantineRow {
  readonly prefix: string;
  readonly by: string;
  readonly heldSeconds: number;
  readonly leftSeconds: number;
}

export interface BlockRow {
  readonly tenant: string;
  readonly name: string;
  // None for good.
  readonly untilUnixMs: number | null;
  // Of a user's tokens, those that were issued before are blocked; none for other kinds.
  readonly issuedBeforeUnixMs: number | null;
}

export interface BlocksPage {
  readonly kind: string;
  readonly blocks: readonly BlockRow[];
  // Whether there are others behind these.
  readonly more: boolean;
}

export interface DeadLetterRow {
  readonly tenant: string;
  readonly channel: string;
  readonly offset: number;
  // For whom it was.
  readonly user: string;
  readonly cause: string;
  readonly atUnixMs: number;
  readonly tries: number;
}

export interface DeadLettersPage {
  readonly letters: readonly DeadLetterRow[];
  // Where the next page begins; none where this is the last.
  readonly next: string | null;
}

export interface AlertRow {
  readonly name: string;
  readonly severity: string;
  readonly summary: string;
  readonly sinceUnixMs: number;
  readonly runbook: string;
  readonly labels: readonly (readonly [string, string])[];
}

export interface AlertsAnswer {
  // `off` where the server was not told where Alertmanager is.
  readonly state: 'off' | 'unreachable' | 'good';
  readonly alerts: readonly AlertRow[];
  // How many fire beside those that are listed.
  readonly more: number;
}

export interface AuditRow {
  readonly timeUnixMs: number;
  readonly name: string;
  readonly actor: string;
  readonly via: string;
  readonly from: string;
  readonly target: string;
  readonly outcome: string;
  readonly reason: string;
}

export interface AuditAnswer {
  readonly acts: readonly AuditRow[];
  // What backends did, by the server API.
  readonly calls: readonly AuditRow[];
  readonly refusals: readonly AuditRow[];
}

export class AnswerError extends Error {
  constructor(place: string) {
    super(`the server's answer has no good ${place}`);
    this.name = 'AnswerError';
  }
}

type Json = Readonly<Record<string, unknown>>;

function object(value: unknown, place: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new AnswerError(place);
  return value as Json;
}

function list(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new AnswerError(place);
  return value;
}

function number(from: Json, name: string): number {
  const value = from[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new AnswerError(name);
  return value;
}

function text(from: Json, name: string): string {
  const value = from[name];
  if (typeof value !== 'string') throw new AnswerError(name);
  return value;
}

// Some fields are there only where something is known.
function textOr(from: Json, name: string, otherwise: string): string {
  return from[name] === undefined || from[name] === null ? otherwise : text(from, name);
}

// A time as RFC 3339 writes it.
function moment(from: Json, name: string): number {
  const unixMs = Date.parse(text(from, name));
  if (Number.isNaN(unixMs)) throw new AnswerError(name);
  return unixMs;
}

function numbers(value: unknown, place: string): number[] {
  return list(value, place).map((one) => {
    if (typeof one !== 'number' || !Number.isFinite(one)) throw new AnswerError(place);
    return one;
  });
}

function texts(value: unknown, place: string): string[] {
  return list(value, place).map((one) => {
    if (typeof one !== 'string') throw new AnswerError(place);
    return one;
  });
}

function named(value: unknown, place: string): Map<string, number> {
  const from = object(value, place);
  return new Map(Object.keys(from).map((name) => [name, number(from, name)]));
}

function namedOrNone(from: Json, name: string): Map<string, number> | null {
  return from[name] === null ? null : named(from[name], name);
}

function rows<Row>(value: unknown, place: string, read: (from: Json) => Row): Row[] {
  return list(value, place).map((one) => read(object(one, place)));
}

export function readSample(value: unknown): Sample {
  const from = object(value, 'sample');
  const columns = object(from['cores'], 'cores');
  const phases = texts(columns['phase'], 'phase');
  const cores = new Map<string, Column>();
  for (const [name, column] of Object.entries(columns)) {
    if (name === 'phase') continue;
    const values = numbers(column, name);
    if (values.length !== phases.length) throw new AnswerError(name);
    cores.set(name, values);
  }
  const latency = new Map<string, CoreHistogram>();
  for (const [name, one] of Object.entries(object(from['latency'], 'latency'))) {
    latency.set(name, readHistogram(object(one, name), name, phases.length));
  }
  const drain = from['drain'] === null ? null : object(from['drain'], 'drain');
  return {
    instance: text(from, 'instance'),
    version: text(from, 'version'),
    nowUnixMs: number(from, 'now_unix_ms'),
    beganUnixMs: number(from, 'began_unix_ms'),
    readiness: text(from, 'readiness'),
    storeState: text(from, 'store_state'),
    drain: drain && { beganUnixMs: number(drain, 'began_unix_ms'), overMs: number(drain, 'over_ms') },
    coresCount: phases.length,
    cores,
    phases,
    latency,
    process: named(from['process'], 'process'),
    hooks: named(from['hooks'], 'hooks'),
    presenceFeed: namedOrNone(from, 'presence_feed'),
    store: namedOrNone(from, 'store'),
  };
}

function readHistogram(from: Json, name: string, coresCount: number): CoreHistogram {
  const boundsUs = numbers(from['bounds_us'], name);
  const counts = list(from['counts'], name).map((one) => numbers(one, name));
  const isWhole = counts.length === coresCount && counts.every((one) => one.length === boundsUs.length + 1);
  if (!isWhole) throw new AnswerError(name);
  return { boundsUs, counts };
}

export function readSession(value: unknown): SessionAnswer {
  const from = object(value, 'session');
  const role = text(from, 'role');
  if (role !== 'see' && role !== 'act') throw new AnswerError('role');
  return {
    operator: text(from, 'operator'),
    role,
    csrf: text(from, 'csrf'),
    leftMs: number(from, 'left_ms'),
    instance: text(from, 'instance'),
  };
}

export function readTenants(value: unknown): TenantRow[] {
  return rows(object(value, 'tenants')['tenants'], 'tenants', (from) => ({
    tenant: text(from, 'tenant'),
    connections: number(from, 'connections'),
    opened: number(from, 'opened'),
    published: number(from, 'published'),
    delivered: number(from, 'delivered'),
    failed: number(from, 'failed'),
  }));
}

export function readRooms(value: unknown): RoomsPage {
  const from = object(value, 'rooms');
  return {
    madeUnixMs: number(from, 'made_unix_ms'),
    rooms: rows(from['rooms'], 'rooms', (room) => ({
      core: number(room, 'core'),
      tenant: text(room, 'tenant'),
      channel: text(room, 'channel'),
      members: number(room, 'members'),
    })),
    pages: number(from, 'pages'),
    roomsCount: number(from, 'rooms_count'),
    silentCores: numbers(from['silent_cores'], 'silent_cores'),
  };
}

export function readConnections(value: unknown): ConnectionsPage {
  const from = object(value, 'conns');
  return {
    connections: number(from, 'connections'),
    silentCores: numbers(from['silent_cores'], 'silent_cores'),
    rows: rows(from['conns'], 'conns', (conn) => ({
      core: number(conn, 'core'),
      client: textOr(conn, 'client', ''),
      user: text(conn, 'user'),
      tenant: text(conn, 'tenant'),
      ageSeconds: number(conn, 'age_seconds'),
      encoding: text(conn, 'encoding'),
      userAgent: text(conn, 'user_agent'),
      channels: number(conn, 'channels'),
      outboxBytes: number(conn, 'outbox_bytes'),
      tasks: number(conn, 'tasks'),
      peer: textOr(conn, 'peer', ''),
    })),
  };
}

export function readFlights(value: unknown): FlightRow[] {
  return rows(object(value, 'flights')['events'], 'events', (event) => ({
    timeUnixMs: number(event, 'time_unix_ms'),
    core: typeof event['core'] === 'number' ? String(event['core']) : text(event, 'core'),
    layer: text(event, 'layer'),
    kind: text(event, 'kind'),
    reason: text(event, 'reason'),
    room: textOr(event, 'room_id', ''),
    userAgent: textOr(event, 'user_agent', ''),
    valueSeconds: event['value_seconds'] === undefined ? null : number(event, 'value_seconds'),
    traceId: textOr(event, 'trace_id', ''),
  }));
}

export function readQuarantine(value: unknown): QuarantineRow[] {
  return rows(object(value, 'quarantine')['prefixes'], 'prefixes', (prefix) => ({
    prefix: text(prefix, 'prefix'),
    by: text(prefix, 'by'),
    heldSeconds: number(prefix, 'held_seconds'),
    leftSeconds: number(prefix, 'left_seconds'),
  }));
}

export function readDeadLetters(value: unknown): DeadLettersPage {
  const from = object(value, 'dead_letters');
  return {
    letters: rows(from['dead_letters'], 'dead_letters', (letter) => ({
      tenant: text(letter, 'tenant'),
      channel: text(letter, 'channel'),
      offset: number(letter, 'offset'),
      user: text(letter, 'user'),
      cause: text(letter, 'cause'),
      atUnixMs: number(letter, 'at_unix_ms'),
      tries: number(letter, 'tries'),
    })),
    next: from['next'] === null ? null : text(from, 'next'),
  };
}

export function readBlocks(value: unknown): BlocksPage {
  const from = object(value, 'blocks');
  if (typeof from['more'] !== 'boolean') throw new AnswerError('more');
  const timeOr = (block: Json, name: string) => (block[name] === null ? null : number(block, name));
  return {
    kind: text(from, 'kind'),
    blocks: rows(from['blocks'], 'blocks', (block) => ({
      tenant: text(block, 'tenant'),
      name: text(block, 'name'),
      untilUnixMs: timeOr(block, 'until_unix_ms'),
      issuedBeforeUnixMs: timeOr(block, 'issued_before_unix_ms'),
    })),
    more: from['more'],
  };
}

export function readAlerts(value: unknown): AlertsAnswer {
  const from = object(value, 'alerts');
  const state = text(from, 'state');
  if (state !== 'off' && state !== 'unreachable' && state !== 'good') throw new AnswerError('state');
  return {
    state,
    alerts: rows(from['alerts'], 'alerts', (alert) => {
      const labels = object(alert['labels'], 'labels');
      return {
        name: text(alert, 'name'),
        severity: text(alert, 'severity'),
        summary: text(alert, 'summary'),
        sinceUnixMs: moment(alert, 'since'),
        runbook: text(alert, 'runbook'),
        labels: Object.keys(labels).map((name) => [name, text(labels, name)] as const),
      };
    }),
    more: number(from, 'more'),
  };
}

export function readAudit(value: unknown): AuditAnswer {
  const from = object(value, 'audit');
  const read = (event: Json): AuditRow => ({
    timeUnixMs: number(event, 'time_unix_ms'),
    name: text(event, 'event'),
    actor: text(event, 'actor'),
    via: text(event, 'via'),
    from: textOr(event, 'from', ''),
    target: text(event, 'target'),
    outcome: text(event, 'outcome'),
    reason: text(event, 'reason'),
  });
  return {
    acts: rows(from['acts'], 'acts', read),
    calls: rows(from['calls'], 'calls', read),
    refusals: rows(from['refusals'], 'refusals', read),
  };
}
