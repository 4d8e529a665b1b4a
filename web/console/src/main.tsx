// The page begins: whoever has a session goes on, and others are asked for a token.

import { render } from 'preact';

import { App } from './app';

const place = document.getElementById('app');
if (place !== null) render(<App />, place);
