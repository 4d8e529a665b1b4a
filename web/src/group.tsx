// A group beside its messages: whether it is muted, who its members are, and what may be changed of
// that. And the invitation of whoever is none yet.

import { GIVEN_ROLES, isPeer, leads, mayKick, type Chat, type Conversation, type MuteLength, type Role } from 'rookery-chat-core';
import { useState } from 'preact/hooks';

import { Avatar } from './avatar';
import { useSpeech } from './context';
import { SideHead } from './side';
import type { Speech } from './words';

const HOUR_S = 3_600;
// What a group is muted for, by the value of its choice.
const MUTES: Readonly<Record<string, MuteLength>> = { off: 0, hour: HOUR_S, day: 24 * HOUR_S, good: null };
// Behind this, Unix ms, a group is muted for good.
const FOR_GOOD_MS = Date.UTC(9000, 0);

export function GroupPanel({ chat, conversation, onClose, onTalk }: {
  chat: Chat; conversation: Conversation; onClose: () => void; onTalk: (peer: string) => void;
}) {
  const speech = useSpeech();
  const { words } = speech;
  const { channel, role, roster, members } = conversation;
  const here = new Set(members.people.map(({ user }) => user));
  return (
    <aside class="side" aria-label={words.members}>
      <SideHead title={words.members} onClose={onClose} />
      <Mute conversation={conversation} speech={speech} onMute={(length) => void chat.mute(channel, length)} />
      {leads(role) && <Invite me={chat.me} onInvite={(user) => chat.invite(channel, user)} />}
      <ul class="people">
        {roster.members.map((member) => (
          <li key={member.user} class="member">
            <button class="person" disabled={member.user === chat.me} onClick={() => onTalk(member.user)}>
              <Avatar name={member.user} isHere={here.has(member.user)} />
              <span class="person-name" dir="auto">{member.user}</span>
              {member.user === chat.me && <span class="detail">{words.you}</span>}
            </button>
            {role === 'owner' && member.role !== 'invited' ? (
              <select
                class="role" aria-label={words.roleOf(member.user)} value={member.role}
                onChange={(event) => {
                  const select = event.currentTarget;
                  // What was refused is as it was.
                  void chat.setRole(channel, member.user, select.value as Role).then((isDone) => {
                    if (!isDone) select.value = member.role;
                  });
                }}
              >
                {GIVEN_ROLES.map((one) => <option key={one} value={one}>{words.role[one]}</option>)}
              </select>
            ) : (
              <span class="detail">{words.role[member.role]}</span>
            )}
            {mayKick(role, member.role) && member.user !== chat.me && (
              <button class="quiet" aria-label={words.kick(member.user)} title={words.kick(member.user)}
                onClick={() => void chat.kick(channel, member.user)}>✕</button>
            )}
          </li>
        ))}
      </ul>
    </aside>
  );
}

function Mute({ conversation, speech, onMute }: {
  conversation: Conversation; speech: Speech; onMute: (length: MuteLength) => void;
}) {
  const { words, time, day } = speech;
  const { mutedUntil } = conversation;
  const isMuted = conversation.isMuted(Date.now());
  const now = mutedUntil > FOR_GOOD_MS ? words.mutedForGood : words.mutedUntil(`${day(mutedUntil)}, ${time(mutedUntil)}`);
  return (
    <label class="mute">
      <span>{words.mute}</span>
      <select value={isMuted ? 'now' : 'off'} onChange={(event) => {
        const length = MUTES[event.currentTarget.value];
        if (length !== undefined) onMute(length);
      }}>
        {isMuted && <option value="now">{now}</option>}
        <option value="off">{words.notMuted}</option>
        <option value="hour">{words.muteHour}</option>
        <option value="day">{words.muteDay}</option>
        <option value="good">{words.muteForGood}</option>
      </select>
    </label>
  );
}

function Invite({ me, onInvite }: { me: string; onInvite: (user: string) => Promise<boolean> }) {
  const { words } = useSpeech();
  const [name, setName] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    const user = name.trim();
    if (!isPeer(user, me)) return;
    void onInvite(user).then((isDone) => isDone && setName(''));
  };
  return (
    <form class="add-form" onSubmit={submit}>
      <input
        aria-label={words.invitePerson} placeholder={words.name} dir="auto" maxLength={64} value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button class="primary" type="submit">{words.invite}</button>
    </form>
  );
}

// What somebody sees of a group to which they are invited: nothing of what is said there.
export function Invitation({ conversation, onJoin, onDecline }: {
  conversation: Conversation; onJoin: () => void; onDecline: () => void;
}) {
  const { words } = useSpeech();
  return (
    <div class="invitation" role="group" aria-label={words.invitedTo(conversation.title)}>
      <p dir="auto">{words.invitedTo(conversation.title)}</p>
      <p class="invitation-buttons">
        <button class="primary" onClick={onJoin}>{words.join}</button>
        <button class="quiet" onClick={onDecline}>{words.decline}</button>
      </p>
    </div>
  );
}

// Beside the name of a group of which its user wants to hear nothing.
export function MutedMark() {
  const { words } = useSpeech();
  return (
    <span class="muted-mark">
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d="M3 6v4h2.5L9 13V3L5.5 6zM11.5 6l3 4m0-4-3 4" fill="none" stroke="currentColor" stroke-width="1.4"
          stroke-linecap="round" stroke-linejoin="round" />
      </svg>
      <span class="unseen">{words.muted}</span>
    </span>
  );
}
