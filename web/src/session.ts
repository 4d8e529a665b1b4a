// Who chats: the page's configuration, and tokens by `getToken`.
//
// Tokens live in memory only. In development mode the page asks for a name, which it keeps
// until the tab is closed, and the server signs for any; elsewhere the backend knows who asks
// by its own cookie.

import { Centrifuge, UnauthorizedError } from 'centrifuge';

export interface PageConfig {
  // Where the server is; in development mode it is this host's, at a port.
  readonly server: string;
  readonly tokenUrl: string;
  readonly askName: boolean;
  // Where somebody signs in and out; empty where the backend says nothing of that.
  readonly loginUrl: string;
  readonly logoutUrl: string;
  // Where the page asks for a place for a file; empty where nobody keeps files.
  readonly uploadUrl: string;
}

export interface Session {
  readonly client: Centrifuge;
  readonly me: string;
  readonly uploadUrl: string;
}

const NAME_KEY = 'rookery.name';
const NAME_UNITS_MAX = 64;

export async function readConfig(): Promise<PageConfig> {
  const answer = await fetch('./config.json', { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`);
  const config = (await answer.json()) as {
    server?: string; port?: number; token_url: string; ask_name?: boolean;
    login_url?: string; logout_url?: string; upload_url?: string;
  };
  const { server, port, token_url: tokenUrl, ask_name: askName = false } = config;
  const { login_url: loginUrl = '', logout_url: logoutUrl = '', upload_url: uploadUrl = '' } = config;
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const beside = `${scheme}://${location.hostname}:${port ?? 8000}/connection/websocket`;
  return { server: server ?? beside, tokenUrl, askName, loginUrl, logoutUrl, uploadUrl };
}

export function isName(name: string): boolean {
  return name !== '' && name.length <= NAME_UNITS_MAX && !/[,#\p{Cc}]/u.test(name);
}

export function keptName(): string {
  return sessionStorage.getItem(NAME_KEY) ?? '';
}

export function keepName(name: string): void {
  if (name === '') sessionStorage.removeItem(NAME_KEY);
  else sessionStorage.setItem(NAME_KEY, name);
}

// A client with its first token; `name` is for the development mode.
export async function begin(config: PageConfig, name: string): Promise<Session> {
  const getToken = () => fetchToken(config, name);
  const token = await getToken();
  const me = userOf(token);
  if (me === '') throw new Error('the token names no user');
  const client = new Centrifuge(config.server, { token, getToken, name: 'rookery-web' });
  return { client, me, uploadUrl: config.uploadUrl };
}

// Ends the session with the backend, where it has an address for that.
export async function signOut({ logoutUrl }: PageConfig): Promise<void> {
  keepName('');
  if (logoutUrl !== '') await fetch(logoutUrl, { method: 'POST', credentials: 'include' });
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof UnauthorizedError;
}

async function fetchToken({ tokenUrl, askName }: PageConfig, name: string): Promise<string> {
  const answer = await fetch(tokenUrl, {
    method: 'POST',
    credentials: 'include',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(askName ? { user: name } : {}),
  });
  if (answer.status === 401 || answer.status === 403) throw new UnauthorizedError('signed out');
  if (!answer.ok) throw new Error(`${tokenUrl}: ${answer.status}`);
  const { token } = (await answer.json()) as { token?: unknown };
  if (typeof token !== 'string') throw new Error(`${tokenUrl}: no token`);
  return token;
}

// The user that a token names. Whether it is good is for the server to say.
function userOf(token: string): string {
  const claims = token.split('.')[1] ?? '';
  const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), (letter) =>
    letter.charCodeAt(0));
  const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
  return typeof sub === 'string' ? sub : '';
}
