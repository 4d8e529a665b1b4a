// What the server answers, read once: from here on there are only valid types. An answer that is
// not as it should be is an error that says where.
export class AnswerError extends Error {
    constructor(place) {
        super(`the server's answer has no good ${place}`);
        this.name = 'AnswerError';
    }
}
function object(value, place) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw new AnswerError(place);
    return value;
}
function list(value, place) {
    if (!Array.isArray(value))
        throw new AnswerError(place);
    return value;
}
function number(from, name) {
    const value = from[name];
    if (typeof value !== 'number' || !Number.isFinite(value))
        throw new AnswerError(name);
    return value;
}
function text(from, name) {
    const value = from[name];
    if (typeof value !== 'string')
        throw new AnswerError(name);
    return value;
}
// Some fields are there only where something is known.
function textOr(from, name, otherwise) {
    return from[name] === undefined || from[name] === null ? otherwise : text(from, name);
}
// A time as RFC 3339 writes it.
function moment(from, name) {
    const unixMs = Date.parse(text(from, name));
    if (Number.isNaN(unixMs))
        throw new AnswerError(name);
    return unixMs;
}
function numbers(value, place) {
    return list(value, place).map((one) => {
        if (typeof one !== 'number' || !Number.isFinite(one))
            throw new AnswerError(place);
        return one;
    });
}
function texts(value, place) {
    return list(value, place).map((one) => {
        if (typeof one !== 'string')
            throw new AnswerError(place);
        return one;
    });
}
function named(value, place) {
    const from = object(value, place);
    return new Map(Object.keys(from).map((name) => [name, number(from, name)]));
}
function rows(value, place, read) {
    return list(value, place).map((one) => read(object(one, place)));
}
export function readSample(value) {
    const from = object(value, 'sample');
    const columns = object(from['cores'], 'cores');
    const phases = texts(columns['phase'], 'phase');
    const cores = new Map();
    for (const [name, column] of Object.entries(columns)) {
        if (name === 'phase')
            continue;
        const values = numbers(column, name);
        if (values.length !== phases.length)
            throw new AnswerError(name);
        cores.set(name, values);
    }
    const latency = new Map();
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
        store: from['store'] === null ? null : named(from['store'], 'store'),
    };
}
function readHistogram(from, name, coresCount) {
    const boundsUs = numbers(from['bounds_us'], name);
    const counts = list(from['counts'], name).map((one) => numbers(one, name));
    const isWhole = counts.length === coresCount && counts.every((one) => one.length === boundsUs.length + 1);
    if (!isWhole)
        throw new AnswerError(name);
    return { boundsUs, counts };
}
export function readSession(value) {
    const from = object(value, 'session');
    const role = text(from, 'role');
    if (role !== 'see' && role !== 'act')
        throw new AnswerError('role');
    return {
        operator: text(from, 'operator'),
        role,
        csrf: text(from, 'csrf'),
        leftMs: number(from, 'left_ms'),
        instance: text(from, 'instance'),
    };
}
export function readTenants(value) {
    return rows(object(value, 'tenants')['tenants'], 'tenants', (from) => ({
        tenant: text(from, 'tenant'),
        connections: number(from, 'connections'),
        opened: number(from, 'opened'),
        published: number(from, 'published'),
        delivered: number(from, 'delivered'),
        failed: number(from, 'failed'),
    }));
}
export function readRooms(value) {
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
export function readConnections(value) {
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
export function readFlights(value) {
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
export function readQuarantine(value) {
    return rows(object(value, 'quarantine')['prefixes'], 'prefixes', (prefix) => ({
        prefix: text(prefix, 'prefix'),
        by: text(prefix, 'by'),
        heldSeconds: number(prefix, 'held_seconds'),
        leftSeconds: number(prefix, 'left_seconds'),
    }));
}
export function readAlerts(value) {
    const from = object(value, 'alerts');
    const state = text(from, 'state');
    if (state !== 'off' && state !== 'unreachable' && state !== 'good')
        throw new AnswerError('state');
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
                labels: Object.keys(labels).map((name) => [name, text(labels, name)]),
            };
        }),
        more: number(from, 'more'),
    };
}
export function readAudit(value) {
    const from = object(value, 'audit');
    const read = (event) => ({
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
