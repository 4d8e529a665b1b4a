// The page begins: its configuration, then who chats, then the chat.

import { render } from 'preact';

import { App } from './app';

const place = document.getElementById('app');
if (place !== null) render(<App />, place);
