// What the chat says, in each of its languages, and dates as people there write them.

import type { Role, RoleChange } from 'rookery-chat-core';

export type Language = 'en' | 'zh';

const ENGLISH = {
  title: 'Rookery chat',
  yourName: 'Your name',
  signIn: 'Start chatting',
  signInHint: 'This is a server for trying out: take any name. Open this page a second time to talk to yourself.',
  nameIsWrong: 'A name has 1 to 64 characters, without comma, # and control characters.',
  signedOut: 'You are not signed in.',
  logIn: 'Sign in',
  signOut: 'Sign out',
  tryAgain: 'Try again',
  cannotStart: 'The chat cannot start',
  conversations: 'Conversations',
  rooms: 'Rooms',
  groups: 'Groups',
  people: 'People',
  addRoom: 'Join a room',
  addGroup: 'Begin a group',
  addPerson: 'Write to somebody',
  roomName: 'Name of the room',
  groupName: 'Name of the group',
  personName: 'Name of the person',
  add: 'Add',
  cancel: 'Cancel',
  leaveRoom: 'Leave the room',
  leaveGroup: 'Leave the group',
  back: 'All conversations',
  chooseOne: 'Choose a conversation, or begin one.',
  nothingYet: 'Nothing was said here yet.',
  loading: 'Loading…',
  beginning: 'This is the beginning.',
  message: 'Message',
  messageTo: (title: string) => `Message to ${title}`,
  send: 'Send',
  save: 'Save',
  attach: 'Attach files',
  files: 'Files',
  uploading: 'Uploading…',
  uploadFailed: 'Not uploaded',
  remove: (name: string) => `Remove ${name}`,
  editing: 'You are editing a message',
  tooLong: (max: number) => `A message has at most ${max} characters.`,
  actions: (name: string) => `What to do with the message of ${name}`,
  react: (value: string) => `React with ${value}`,
  reactedWith: (value: string, count: number) => `${value}: ${count}`,
  edit: 'Edit',
  retract: 'Take back',
  edited: 'edited',
  retracted: 'This message was taken back.',
  unknownForm: 'This message has a form that this chat does not know.',
  server: 'Server',
  you: 'you',
  waiting: 'Waits for the connection',
  sending: 'Sending…',
  sent: 'Sent',
  delivered: 'Delivered',
  read: 'Read',
  readBy: (count: number) => `Read by ${count}`,
  failed: 'Not sent',
  retry: 'Try again',
  discard: 'Discard',
  newMessages: 'New',
  toTheEnd: 'To the newest',
  isTyping: (names: string) => `${names} is typing…`,
  areTyping: (names: string) => `${names} are typing…`,
  unread: (count: string) => `${count} unread`,
  here: (count: number) => `${count} here`,
  whoIsHere: 'Who is here',
  close: 'Close',
  search: 'Search',
  searchIn: 'Search in what is loaded',
  noResults: 'Nothing found in what is loaded.',
  results: (count: number) => (count === 1 ? '1 message' : `${count} messages`),
  connecting: 'Connecting…',
  offline: 'You are offline. What you write is sent when you are back.',
  ended: 'The connection ended',
  joining: 'Joining…',
  refusedRoom: 'You are not in this room',
  refusedGroup: 'You are not in this group',
  members: 'Members',
  membersCount: (count: number) => (count === 1 ? '1 member' : `${count} members`),
  role: { owner: 'Owner', admin: 'Admin', member: 'Member', invited: 'Invited' } as Record<Role, string>,
  roleOf: (name: string) => `Role of ${name}`,
  kick: (name: string) => `Remove ${name} from the group`,
  invite: 'Invite',
  invitePerson: 'Invite a person by name',
  name: 'Name',
  invitation: 'You are invited.',
  invitedTo: (title: string) => `You are invited to ${title}.`,
  join: 'Join',
  decline: 'Decline',
  mute: 'Mute',
  muted: 'Muted',
  notMuted: 'Not muted',
  muteHour: 'For an hour',
  muteDay: 'For a day',
  muteForGood: 'For good',
  mutedForGood: 'Muted for good',
  mutedUntil: (time: string) => `Until ${time}`,
  became: englishChange,
  theme: 'Colours',
  light: 'Light',
  dark: 'Dark',
  system: 'System',
  language: 'Language',
  says: (name: string, text: string) => `${name}: ${text}`,
  error: (code: number, message: string) => `That did not work (${code} ${message}).`,
};

type Words = typeof ENGLISH;

// What somebody did about the members of a group, or about themselves.
function englishChange(by: string, { user, role }: RoleChange): string {
  if (role === 'none') return by === user ? `${user} left the group.` : `${by} removed ${user}.`;
  if (role === 'invited') return `${by} invited ${user}.`;
  if (by === user && role === 'owner') return `${user} began the group.`;
  if (by === user && role === 'member') return `${user} joined the group.`;
  return `${by} made ${user} ${{ owner: 'an owner', admin: 'an admin', member: 'a member' }[role]}.`;
}

function chineseChange(by: string, { user, role }: RoleChange): string {
  if (role === 'none') return by === user ? `${user} 退出了群组。` : `${by} 将 ${user} 移出了群组。`;
  if (role === 'invited') return `${by} 邀请了 ${user}。`;
  if (by === user && role === 'owner') return `${user} 创建了群组。`;
  if (by === user && role === 'member') return `${user} 加入了群组。`;
  return `${by} 将 ${user} 设为${{ owner: '群主', admin: '管理员', member: '成员' }[role]}。`;
}

const CHINESE: Words = {
  title: 'Rookery 聊天',
  yourName: '你的名字',
  signIn: '开始聊天',
  signInHint: '这是一台试用服务器：名字随意。再打开一次本页面，就可以和自己对话。',
  nameIsWrong: '名字为 1 到 64 个字符，不含逗号、# 和控制字符。',
  signedOut: '你尚未登录。',
  logIn: '登录',
  signOut: '退出',
  tryAgain: '重试',
  cannotStart: '无法启动聊天',
  conversations: '会话',
  rooms: '聊天室',
  groups: '群组',
  people: '联系人',
  addRoom: '加入聊天室',
  addGroup: '新建群组',
  addPerson: '给某人写消息',
  roomName: '聊天室名称',
  groupName: '群组名称',
  personName: '对方的名字',
  add: '添加',
  cancel: '取消',
  leaveRoom: '离开聊天室',
  leaveGroup: '退出群组',
  back: '所有会话',
  chooseOne: '选择一个会话，或新建一个。',
  nothingYet: '这里还没有消息。',
  loading: '加载中…',
  beginning: '已到最早的消息。',
  message: '消息',
  messageTo: (title) => `发消息给 ${title}`,
  send: '发送',
  save: '保存',
  attach: '添加文件',
  files: '文件',
  uploading: '上传中…',
  uploadFailed: '未上传',
  remove: (name) => `移除 ${name}`,
  editing: '正在编辑消息',
  tooLong: (max) => `一条消息最多 ${max} 个字符。`,
  actions: (name) => `${name} 的消息：操作`,
  react: (value) => `用 ${value} 回应`,
  reactedWith: (value, count) => `${value}：${count}`,
  edit: '编辑',
  retract: '撤回',
  edited: '已编辑',
  retracted: '这条消息已撤回。',
  unknownForm: '这条消息的格式无法识别。',
  server: '服务器',
  you: '你',
  waiting: '等待连接',
  sending: '发送中…',
  sent: '已发送',
  delivered: '已送达',
  read: '已读',
  readBy: (count) => `${count} 人已读`,
  failed: '未发送',
  retry: '重试',
  discard: '放弃',
  newMessages: '新消息',
  toTheEnd: '跳到最新',
  isTyping: (names) => `${names} 正在输入…`,
  areTyping: (names) => `${names} 正在输入…`,
  unread: (count) => `${count} 条未读`,
  here: (count) => `${count} 人在线`,
  whoIsHere: '在线的人',
  close: '关闭',
  search: '搜索',
  searchIn: '搜索已加载的消息',
  noResults: '已加载的消息中没有找到。',
  results: (count) => `${count} 条消息`,
  connecting: '连接中…',
  offline: '你已离线。写下的消息会在恢复连接后发送。',
  ended: '连接已结束',
  joining: '正在加入…',
  refusedRoom: '你不在这个聊天室中',
  refusedGroup: '你不在这个群组中',
  members: '成员',
  membersCount: (count) => `${count} 名成员`,
  role: { owner: '群主', admin: '管理员', member: '成员', invited: '已邀请' },
  roleOf: (name) => `${name} 的角色`,
  kick: (name) => `将 ${name} 移出群组`,
  invite: '邀请',
  invitePerson: '按名字邀请',
  name: '名字',
  invitation: '邀请你加入。',
  invitedTo: (title) => `邀请你加入“${title}”。`,
  join: '加入',
  decline: '谢绝',
  mute: '免打扰',
  muted: '已设免打扰',
  notMuted: '未开启',
  muteHour: '一小时',
  muteDay: '一天',
  muteForGood: '一直',
  mutedForGood: '一直免打扰',
  mutedUntil: (time) => `至 ${time}`,
  became: chineseChange,
  theme: '配色',
  light: '浅色',
  dark: '深色',
  system: '跟随系统',
  language: '语言',
  says: (name, text) => `${name}：${text}`,
  error: (code, message) => `操作未成功（${code} ${message}）。`,
};

const WORDS: Record<Language, Words> = { en: ENGLISH, zh: CHINESE };
const TAGS: Record<Language, string> = { en: 'en', zh: 'zh-CN' };

// What one language says, with its ways to write dates and lists.
export interface Speech {
  readonly language: Language;
  readonly tag: string;
  readonly words: Words;
  readonly time: (ms: number) => string;
  readonly day: (ms: number) => string;
  readonly full: (ms: number) => string;
  readonly list: (names: readonly string[]) => string;
  readonly number: (count: number) => string;
}

export function speech(language: Language): Speech {
  // Dates are those of the country that the browser names, where its language is this one.
  const tag = navigator.languages.find((one) => one.startsWith(language)) ?? TAGS[language];
  const time = new Intl.DateTimeFormat(tag, { hour: '2-digit', minute: '2-digit' });
  const day = new Intl.DateTimeFormat(tag, { weekday: 'long', day: 'numeric', month: 'long' });
  const full = new Intl.DateTimeFormat(tag, { dateStyle: 'full', timeStyle: 'medium' });
  const list = new Intl.ListFormat(tag, { type: 'conjunction' });
  const number = new Intl.NumberFormat(tag);
  return {
    language,
    tag,
    words: WORDS[language],
    time: (ms) => time.format(ms),
    day: (ms) => day.format(ms),
    full: (ms) => full.format(ms),
    list: (names) => list.format(names),
    number: (count) => number.format(count),
  };
}

// The language that the browser asks for.
export function languageOf(tags: readonly string[]): Language {
  const known = tags.map((tag) => tag.slice(0, 2)).find((tag) => tag === 'en' || tag === 'zh');
  return known === 'zh' ? 'zh' : 'en';
}
