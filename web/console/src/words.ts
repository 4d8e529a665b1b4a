// What the console says, in each of its languages.

import type { ChartName, MeasureName } from 'rookery-console-core';

export type Language = 'en' | 'zh';

export const TABS = [
  'overview', 'rooms', 'connections', 'tenants', 'backend', 'keeping-out', 'dead-letters', 'flights', 'alerts', 'audit', 'drain',
] as const;
export type TabName = (typeof TABS)[number];

export interface Words {
  readonly title: string;
  readonly token: string;
  readonly tokenHint: string;
  readonly signIn: string;
  readonly signOut: string;
  readonly tokenIsWrong: string;
  readonly sessionIsOver: string;
  readonly wait: (span: string) => string;
  readonly closed: string;
  readonly cannotReach: string;
  readonly refused: (status: number, text: string) => string;
  readonly tryAgain: string;
  readonly loading: string;
  readonly loadAgain: string;
  readonly nothing: string;
  readonly stale: (span: string) => string;
  readonly ended: string;
  readonly tabs: Readonly<Record<TabName, string>>;
  readonly menu: string;
  readonly language: string;
  readonly theme: string;
  readonly system: string;
  readonly light: string;
  readonly dark: string;
  readonly roles: Readonly<Record<'see' | 'act', string>>;
  readonly readiness: Readonly<Record<string, string>>;
  readonly storeStates: Readonly<Record<string, string>>;
  readonly up: (span: string) => string;
  readonly version: (version: string) => string;
  readonly core: (core: string) => string;
  readonly cores: string;
  readonly hanging: (cores: string) => string;
  readonly ofMax: (max: string) => string;
  readonly tiles: Readonly<Record<
    'connections' | 'messages' | 'latency' | 'lag' | 'cpu' | 'memory' | 'rooms' | 'slow', string>>;
  readonly charts: Readonly<Record<ChartName, string>>;
  readonly lines: Readonly<Record<string, string>>;
  readonly heat: string;
  readonly heatHint: string;
  readonly measures: Readonly<Record<MeasureName, string>>;
  readonly levels: readonly [string, string, string, string, string];
  readonly ring: string;
  readonly ringRows: Readonly<Record<string, string>>;
  readonly store: string;
  readonly storeRows: Readonly<Record<string, string>>;
  readonly noStore: string;
  readonly deadLetters: string;
  readonly deadLetterHint: string;
  readonly deadLettersNote: string;
  readonly deadLettersOf: string;
  readonly deadLetterCauses: Readonly<Record<string, string>>;
  readonly wholeConversation: string;
  readonly show: string;
  readonly requeue: string;
  readonly drop: string;
  readonly hooks: string;
  readonly hooksHint: string;
  readonly hooksSuspended: (count: string) => string;
  readonly hookRows: Readonly<Record<string, string>>;
  readonly feed: string;
  readonly feedHint: string;
  readonly noFeed: string;
  readonly feedRows: Readonly<Record<string, string>>;
  readonly now: string;
  readonly total: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly roomsCaption: (count: string, age: string) => string;
  readonly silent: (cores: string) => string;
  readonly page: (page: number, pages: number) => string;
  readonly earlier: string;
  readonly later: string;
  readonly sortBy: string;
  readonly sorts: Readonly<Record<'age' | 'pending' | 'tasks', string>>;
  readonly forGood: string;
  readonly blocked: string;
  readonly blockKinds: Readonly<Record<'user' | 'address' | 'token' | 'user_tokens', string>>;
  readonly quarantine: string;
  readonly quarantineHint: string;
  readonly addresses: string;
  readonly user: string;
  readonly tenant: string;
  readonly address: string;
  readonly prefix: string;
  readonly forHowLong: string;
  readonly configuredTime: string;
  readonly hours: (hours: number) => string;
  readonly block: string;
  readonly unblock: string;
  readonly hold: string;
  readonly release: string;
  readonly disconnect: string;
  readonly confirmTitle: string;
  readonly confirm: Readonly<Record<string, (target: string) => string>>;
  readonly yes: string;
  readonly cancel: string;
  readonly done: (what: string) => string;
  readonly busy: string;
  readonly unsure: string;
  readonly mayOnlySee: string;
  readonly alertStates: Readonly<Record<'off' | 'unreachable' | 'none', string>>;
  readonly moreAlerts: (count: string) => string;
  readonly runbook: string;
  readonly acts: string;
  readonly calls: string;
  readonly refusals: string;
  readonly outcomes: Readonly<Record<string, string>>;
  readonly drainHint: string;
  readonly drainName: (instance: string) => string;
  readonly drainBegin: string;
  readonly draining: (left: string, first: string) => string;
  readonly drainTime: (span: string) => string;
}

export const ENGLISH: Words = {
  title: 'Rookery console',
  token: 'Token',
  tokenHint: 'Your own operator token, or the admin token.',
  signIn: 'Sign in',
  signOut: 'Sign out',
  tokenIsWrong: 'This is nobody’s token.',
  sessionIsOver: 'Your session is over. Sign in again.',
  wait: (span) => `Too many wrong tokens came from here. Try again in ${span}.`,
  closed: 'This server has neither an admin token nor operators, so nobody can sign in. Set admin.token_file or [[admin.operators]].',
  cannotReach: 'The server does not answer.',
  refused: (status, text) => `The server refused this (${status}): ${text}`,
  tryAgain: 'Try again',
  loading: 'Loading…',
  loadAgain: 'Load again',
  nothing: 'Nothing here.',
  stale: (span) => `No answer for ${span}: these numbers are old.`,
  ended: 'The server has ended.',
  tabs: {
    overview: 'Overview', rooms: 'Rooms', connections: 'Connections', tenants: 'Tenants', backend: 'Backend',
    'keeping-out': 'Blocking', 'dead-letters': 'Dead letters', flights: 'Flight recorder', alerts: 'Alerts', audit: 'Audit', drain: 'Drain',
  },
  menu: 'Pages',
  language: 'Language',
  theme: 'Colours',
  system: 'System',
  light: 'Light',
  dark: 'Dark',
  roles: { see: 'may see', act: 'may act' },
  readiness: { starting: 'Starting', ready: 'Ready', draining: 'Draining' },
  storeStates: { absent: 'No store', good: 'Store good', full: 'Store full', broken: 'Store broken' },
  up: (span) => `up ${span}`,
  version: (version) => `version ${version}`,
  core: (core) => `Core ${core}`,
  cores: 'Cores',
  hanging: (cores) => `These cores stand still, each in this phase of its turn: ${cores}. /debug/snapshot says whose work it is.`,
  ofMax: (max) => `of ${max}`,
  tiles: {
    connections: 'Connections', messages: 'Messages published', latency: 'Latency p99', lag: 'Worst timer lag',
    cpu: 'CPUs busy', memory: 'Memory', rooms: 'Rooms', slow: 'Slow readers',
  },
  charts: {
    connections: 'Connections', comings: 'Who comes and goes', messages: 'Messages', bytes: 'Bytes of clients',
    latency: 'From publish to the last reader’s socket', lateness: 'Worst timer lag', cpu: 'CPUs busy',
    memory: 'Memory',
  },
  lines: {
    connections: 'connections', opened: 'opened', closed: 'closed', rejected: 'rejected',
    published: 'published', delivered: 'delivered', not_delivered: 'not delivered', bytes_in: 'in',
    bytes_out: 'out', p50: 'p50', p95: 'p95', p99: 'p99', worst_lag: 'worst core', cpus_busy: 'busy',
    resident_bytes: 'resident', heap_bytes: 'allocated',
  },
  heat: 'Cores at a glance',
  heatHint: 'Arrow keys move from cell to cell.',
  measures: {
    connections: 'Connections', commands: 'Commands', delivered: 'Deliveries', latency_p99: 'Latency p99',
    lag: 'Timer lag', late: 'Time late', busy: 'Busy', waiting: 'Bytes waiting', memory: 'Send memory used',
    mailbox: 'Mailbox',
  },
  levels: ['calm', 'noticeable', 'warm', 'hot', 'act now'],
  ring: 'io_uring',
  ringRows: {
    ring_submits: 'Submits', ring_completions: 'Completions', ring_stale: 'Stale completions',
    ring_short_sends: 'Short sends', ring_no_buffer: 'Receives without a buffer',
    ring_cq_overflow: 'Completion queue full', ring_sq_full: 'Submission queue full',
    buffer_misses: 'Buffer pool empty', lane_full: 'Lanes full',
  },
  store: 'Store',
  storeRows: {
    messages: 'Messages', commits: 'Batches', syncs: 'Syncs', refused: 'Refused', expired: 'Expired',
    used_bytes: 'Used', free_bytes: 'Free',
  },
  noStore: 'No namespace keeps messages on disk.',
  deadLetters: 'Dead letters',
  deadLetterHint: '“Dead letters” lists them, lets them wait again and drops them.',
  deadLettersNote: 'Direct messages that their readers did not take. What they say is not shown.',
  deadLettersOf: 'For this user (empty: for all)',
  deadLetterCauses: { tries: 'too many tries', expired: 'its time was over' },
  wholeConversation: 'Act on all of the conversation, up to 100 at a time',
  show: 'Show',
  requeue: 'Let wait again',
  drop: 'Drop',
  hooks: 'Hooks',
  hooksHint: 'What the backend is asked before somebody may do something.',
  hooksSuspended: (count) => `${count} hooks are not asked for a while, because the last answers were missing.`,
  hookRows: {
    under_way: 'Questions under way', mean: 'Mean time to an answer', connect: 'connect', refresh: 'refresh',
    rpc: 'rpc', subscribe: 'subscribe', publish: 'publish', sub_refresh: 'sub_refresh',
    failed: 'No answer: refused or broken', late: 'No answer in time', invalid: 'Answers that mean nothing',
    skipped: 'Not asked while suspended',
  },
  feed: 'Presence feed',
  feedHint: 'What the backend is told of who comes and goes. What it has not taken waits.',
  noFeed: 'No backend wants to be told who is there (presence_feed).',
  feedRows: {
    users: 'Users that are there', subscriptions: 'Subscriptions', queued: 'Events that wait',
    oldest_ms: 'Age of the oldest', queued_bytes: 'Bytes that wait', events: 'Events', taken: 'Requests taken',
    failed: 'Requests not taken', lost: 'Events dropped', write_failures: 'Writes that failed',
    passes: 'Times that a core said all anew',
  },
  now: 'Now',
  total: 'Since the start',
  columns: {
    channel: 'Room', tenant: 'Tenant', members: 'Connections', core: 'Core', user: 'User', client: 'Client',
    age: 'Age', program: 'Program', channels: 'Rooms', waiting: 'Waiting', tasks: 'Tasks', peer: 'Address',
    opened: 'Let in', published: 'Published', delivered: 'Delivered', failed: 'Not delivered',
    connections: 'Connections', prefix: 'Prefix', by: 'By', held: 'For', left: 'Still for', kind: 'Kind',
    name: 'Name', until: 'Until', issuedBefore: 'Issued before', conversation: 'Conversation', offset: 'Offset',
    reader: 'For', tries: 'Tries',
    time: 'Time', layer: 'Layer', reason: 'Reason', room: 'Room', took: 'Took',
    trace: 'Trace', alert: 'Alert', severity: 'Severity', since: 'Since', summary: 'What', event: 'Event',
    actor: 'Who', via: 'By way of', from: 'From', target: 'Whom or what', outcome: 'Outcome', what: 'What',
    act: 'Act',
  },
  roomsCaption: (count, age) => `The largest of ${count} rooms, as of ${age} ago`,
  silent: (cores) => `These cores did not answer: ${cores}`,
  page: (page, pages) => `Page ${page} of ${pages}`,
  earlier: 'Previous',
  later: 'Next',
  sortBy: 'Worst by',
  sorts: { age: 'age', pending: 'what waits for them', tasks: 'what is under way' },
  forGood: 'for good',
  blocked: 'Who is kept out',
  blockKinds: { user: 'Users', address: 'Addresses', token: 'Tokens', user_tokens: 'Older tokens of a user' },
  quarantine: 'Quarantine',
  quarantineHint: 'Kinds of clients whose sessions panicked, or that an operator keeps out.',
  addresses: 'Addresses',
  user: 'User',
  tenant: 'Tenant (empty where there is only one)',
  address: 'Address or range',
  prefix: 'Prefix (tenant~user~class)',
  forHowLong: 'For how long',
  configuredTime: 'the configured time',
  hours: (hours) => (hours < 48 ? (hours === 1 ? '1 hour' : `${hours} hours`) : `${hours / 24} days`),
  block: 'Block',
  unblock: 'Let in again',
  hold: 'Quarantine',
  release: 'Release',
  disconnect: 'Disconnect',
  confirmTitle: 'Are you sure?',
  confirm: {
    block_user: (target) => `${target} is disconnected and kept out.`,
    unblock_user: (target) => `${target} may come in again.`,
    block_address: (target) => `Everybody at ${target} is disconnected and kept out.`,
    unblock_address: (target) => `Everybody at ${target} may come in again.`,
    disconnect_user: (target) => `All connections of ${target} are closed.`,
    quarantine: (target) => `Clients of ${target} are refused when they connect.`,
    release: (target) => `Clients of ${target} may come in again.`,
    requeue_dead_letters: (target) => `Dead letters wait for their reader again: ${target}.`,
    drop_dead_letters: (target) => `Dead letters are forgotten for good: ${target}.`,
    drain: (target) => `All clients leave ${target}, and then it ends.`,
  },
  yes: 'Do it',
  cancel: 'Cancel',
  done: (what) => `Done: ${what}`,
  busy: 'The server is busy, or drains. Nothing was done.',
  unsure: 'The server did not say whether this was done. “Audit” has what it did.',
  mayOnlySee: 'You may look. To change something, you need the role “act”.',
  alertStates: {
    off: 'The server was not told where Alertmanager is (admin.alertmanager_url).',
    unreachable: 'Alertmanager does not answer.',
    none: 'No alert fires.',
  },
  moreAlerts: (count) => `${count} more fire; Alertmanager has them all.`,
  runbook: 'Runbook',
  acts: 'What operators did',
  calls: 'What backends did',
  refusals: 'What was refused',
  outcomes: { done: 'done', refused: 'refused', failed: 'failed' },
  drainHint: 'The server closes its listeners, lets its clients go in paced batches, and ends. It does not start again by itself.',
  drainName: (instance) => `To be sure that it is this server, type its name: ${instance}`,
  drainBegin: 'Drain this server',
  draining: (left, first) => `${left} of ${first} connections are still here`,
  drainTime: (span) => `Who is left in ${span} is cut off.`,
};

export const CHINESE: Words = {
  title: 'Rookery 控制台',
  token: '令牌',
  tokenHint: '您自己的操作员令牌，或管理令牌。',
  signIn: '登录',
  signOut: '退出',
  tokenIsWrong: '令牌无效。',
  sessionIsOver: '会话已结束，请重新登录。',
  wait: (span) => `来自此处的错误令牌过多，请在 ${span} 后重试。`,
  closed: '此服务器既没有管理令牌也没有操作员，因此无人可以登录。请设置 admin.token_file 或 [[admin.operators]]。',
  cannotReach: '服务器没有应答。',
  refused: (status, text) => `服务器拒绝了该请求（${status}）：${text}`,
  tryAgain: '重试',
  loading: '加载中…',
  loadAgain: '重新加载',
  nothing: '这里没有内容。',
  stale: (span) => `已 ${span} 没有应答：这些数字是旧的。`,
  ended: '服务器已结束运行。',
  tabs: {
    overview: '总览', rooms: '聊天室', connections: '连接', tenants: '租户', backend: '后端',
    'keeping-out': '封禁与隔离', 'dead-letters': '死信', flights: '飞行记录', alerts: '告警', audit: '审计', drain: '排空',
  },
  menu: '页面',
  language: '语言',
  theme: '配色',
  system: '跟随系统',
  light: '浅色',
  dark: '深色',
  roles: { see: '可查看', act: '可操作' },
  readiness: { starting: '启动中', ready: '就绪', draining: '排空中' },
  storeStates: { absent: '无存储', good: '存储正常', full: '存储已满', broken: '存储故障' },
  up: (span) => `已运行 ${span}`,
  version: (version) => `版本 ${version}`,
  core: (core) => `核心 ${core}`,
  cores: '核心',
  hanging: (cores) => `以下核心已停住，括号内是停在哪个阶段：${cores}。/debug/snapshot 会说明在处理谁的工作。`,
  ofMax: (max) => `上限 ${max}`,
  tiles: {
    connections: '连接', messages: '发布的消息', latency: '延迟 p99', lag: '最大定时器滞后', cpu: '忙碌的 CPU',
    memory: '内存', rooms: '聊天室', slow: '慢读者',
  },
  charts: {
    connections: '连接', comings: '进出', messages: '消息', bytes: '字节', latency: '从发布到最后一位读者的套接字',
    lateness: '最大定时器滞后', cpu: '忙碌的 CPU', memory: '内存',
  },
  lines: {
    connections: '连接', opened: '打开', closed: '关闭', rejected: '拒绝', published: '已发布', delivered: '已送达',
    not_delivered: '未送达', bytes_in: '入', bytes_out: '出', p50: 'p50', p95: 'p95', p99: 'p99',
    worst_lag: '最慢的核心', cpus_busy: '忙碌', resident_bytes: '常驻', heap_bytes: '已分配',
  },
  heat: '各核心一览',
  heatHint: '用方向键在格子之间移动。',
  measures: {
    connections: '连接', commands: '命令', delivered: '送达', latency_p99: '延迟 p99', lag: '定时器滞后',
    late: '滞后时间占比', busy: '忙碌', waiting: '等待的字节', memory: '发送内存使用', mailbox: '邮箱',
  },
  levels: ['平稳', '可察觉', '偏热', '过热', '立即处理'],
  ring: 'io_uring',
  ringRows: {
    ring_submits: '提交', ring_completions: '完成', ring_stale: '过期的完成', ring_short_sends: '部分发送',
    ring_no_buffer: '没有缓冲区的接收', ring_cq_overflow: '完成队列已满', ring_sq_full: '提交队列已满',
    buffer_misses: '缓冲池为空', lane_full: '通道已满',
  },
  store: '存储',
  storeRows: {
    messages: '消息', commits: '批次', syncs: '同步', refused: '拒绝', expired: '过期', used_bytes: '已用',
    free_bytes: '可用',
  },
  noStore: '没有命名空间把消息保存在磁盘上。',
  deadLetters: '死信',
  deadLetterHint: '“死信”页面可以列出、重新投递和丢弃死信。',
  deadLettersNote: '收件人未接收的私信。这里不显示其内容。',
  deadLettersOf: '收件人（留空则显示全部）',
  deadLetterCauses: { tries: '尝试次数过多', expired: '已过期' },
  wholeConversation: '对整个会话执行操作，每次最多 100 条',
  show: '显示',
  requeue: '重新等待',
  drop: '丢弃',
  hooks: '钩子',
  hooksHint: '在允许某项操作之前向后端询问的内容。',
  hooksSuspended: (count) => `${count} 个钩子因最近没有应答而暂停询问。`,
  hookRows: {
    under_way: '进行中的询问', mean: '平均应答时间', connect: 'connect', refresh: 'refresh', rpc: 'rpc',
    subscribe: 'subscribe', publish: 'publish', sub_refresh: 'sub_refresh', failed: '无应答：被拒绝或中断',
    late: '未及时应答', invalid: '无意义的应答', skipped: '暂停期间未询问',
  },
  feed: '在线状态推送',
  feedHint: '告知后端谁来谁走。后端尚未接收的内容会等待。',
  noFeed: '没有后端要求告知谁在线（presence_feed）。',
  feedRows: {
    users: '在线用户', subscriptions: '订阅', queued: '等待的事件', oldest_ms: '最早事件的等待时间',
    queued_bytes: '等待的字节', events: '事件', taken: '已接收的请求', failed: '未接收的请求', lost: '丢弃的事件',
    write_failures: '写入失败', passes: '核心重新上报全部状态的次数',
  },
  now: '现在',
  total: '自启动以来',
  columns: {
    channel: '聊天室', tenant: '租户', members: '连接', core: '核心', user: '用户', client: '客户端', age: '时长',
    program: '程序', channels: '聊天室', waiting: '等待', tasks: '任务', peer: '地址', opened: '进入',
    published: '已发布', delivered: '已送达', failed: '未送达', connections: '连接', prefix: '前缀', by: '来源',
    held: '已持续', left: '剩余', kind: '类别', name: '名称', until: '直到', issuedBefore: '签发早于', conversation: '会话', offset: '偏移量',
    reader: '收件人', tries: '尝试次数', time: '时间', layer: '层',
    reason: '原因', room: '聊天室', took: '耗时', trace: '跟踪', alert: '告警', severity: '级别', since: '开始于',
    summary: '内容', event: '事件', actor: '谁', via: '途径', from: '来自', target: '对象', outcome: '结果',
    what: '内容', act: '操作',
  },
  roomsCaption: (count, age) => `共 ${count} 个聊天室中最大的，${age} 前的数据`,
  silent: (cores) => `以下核心没有应答：${cores}`,
  page: (page, pages) => `第 ${page} 页，共 ${pages} 页`,
  earlier: '上一页',
  later: '下一页',
  sortBy: '最差依据',
  sorts: { age: '时长', pending: '等待发送的数据', tasks: '进行中的任务' },
  forGood: '永久',
  blocked: '已封禁',
  blockKinds: { user: '用户', address: '地址', token: '令牌', user_tokens: '用户的旧令牌' },
  quarantine: '隔离',
  quarantineHint: '会话发生崩溃的一类客户端，或由操作员隔离的客户端。',
  addresses: '地址',
  user: '用户',
  tenant: '租户（只有一个时留空）',
  address: '地址或地址段',
  prefix: '前缀（tenant~user~class）',
  forHowLong: '持续时间',
  configuredTime: '配置的时间',
  hours: (hours) => (hours < 48 ? `${hours} 小时` : `${hours / 24} 天`),
  block: '封禁',
  unblock: '解除',
  hold: '隔离',
  release: '解除隔离',
  disconnect: '断开',
  confirmTitle: '确定吗？',
  confirm: {
    block_user: (target) => `${target} 将被断开并禁止进入。`,
    unblock_user: (target) => `${target} 可以重新进入。`,
    block_address: (target) => `来自 ${target} 的所有人将被断开并禁止进入。`,
    unblock_address: (target) => `来自 ${target} 的所有人可以重新进入。`,
    disconnect_user: (target) => `${target} 的所有连接将被关闭。`,
    quarantine: (target) => `${target} 类客户端在连接时会被拒绝。`,
    release: (target) => `${target} 类客户端可以重新进入。`,
    requeue_dead_letters: (target) => `死信将再次等待其收件人：${target}。`,
    drop_dead_letters: (target) => `死信将被永久丢弃：${target}。`,
    drain: (target) => `所有客户端将离开 ${target}，随后它结束运行。`,
  },
  yes: '执行',
  cancel: '取消',
  done: (what) => `已完成：${what}`,
  busy: '服务器正忙，或正在排空。没有执行任何操作。',
  unsure: '服务器没有说明是否已执行。请查看“审计”。',
  mayOnlySee: '您可以查看。要进行更改，需要“act”角色。',
  alertStates: {
    off: '服务器不知道 Alertmanager 的地址（admin.alertmanager_url）。',
    unreachable: 'Alertmanager 没有应答。',
    none: '没有触发的告警。',
  },
  moreAlerts: (count) => `另有 ${count} 条触发；Alertmanager 中有全部告警。`,
  runbook: '处理手册',
  acts: '操作员执行的操作',
  calls: '后端执行的操作',
  refusals: '被拒绝的请求',
  outcomes: { done: '完成', refused: '拒绝', failed: '失败' },
  drainHint: '服务器会关闭监听，分批让客户端离开，然后结束。它不会自行重新启动。',
  drainName: (instance) => `为确认是这台服务器，请输入它的名称：${instance}`,
  drainBegin: '排空这台服务器',
  draining: (left, first) => `${first} 个连接中还有 ${left} 个`,
  drainTime: (span) => `${span} 后仍未离开的将被切断。`,
};

export const WORDS: Readonly<Record<Language, Words>> = { en: ENGLISH, zh: CHINESE };

const TAGS: Readonly<Record<Language, string>> = { en: 'en', zh: 'zh-CN' };

// How numbers and dates are written: as in the country that the browser names, where its language
// is this one.
export function tagOf(language: Language): string {
  return navigator.languages.find((one) => one.startsWith(language)) ?? TAGS[language];
}

// The language that the browser asks for.
export function languageOf(tags: readonly string[]): Language {
  const known = tags.map((tag) => tag.slice(0, 2)).find((tag) => tag === 'en' || tag === 'zh');
  return known === 'zh' ? 'zh' : 'en';
}
