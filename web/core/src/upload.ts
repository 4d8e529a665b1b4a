// A file on its way to where others can read it: the backend says where, and the file goes there
// from the page, past the backend and the chat server.
//
// Deliberately absent: which files are allowed (the backend's to say).

import { isWebAddress, type Attachment } from './message.js';

// What the backend answers: where the file is put, how, and where it can be read then.
interface Place {
  readonly put_url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly url: string;
}

// Uploads a file; what a message says of it. `signal` gives it up.
export async function upload(uploadUrl: string, file: File, signal: AbortSignal): Promise<Attachment> {
  const { name, type, size: bytes } = file;
  const asked = await fetch(uploadUrl, {
    method: 'POST',
    credentials: 'include',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, type, bytes }),
    signal,
  });
  if (!asked.ok) throw new Error(`${uploadUrl}: ${asked.status}`);
  const place = (await asked.json()) as Place;
  // Addresses may be relative to the page.
  const [putUrl, url] = [place.put_url, place.url].map((one) => new URL(one, document.baseURI).href);
  if (putUrl === undefined || url === undefined || !isWebAddress(putUrl) || !isWebAddress(url)) {
    throw new Error(`${uploadUrl}: no address`);
  }
  // No cookies: the address itself says that this may be put there.
  const put = await fetch(putUrl, {
    method: 'PUT', credentials: 'omit', headers: place.headers ?? {}, body: file, signal,
  });
  if (!put.ok) throw new Error(`${new URL(putUrl).host}: ${put.status}`);
  return { url, name, type, bytes };
}
