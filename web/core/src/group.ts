// A group: what somebody is there, what that allows, and who its members are, who last longer than
// their connections.
//
// Deliberately absent: asking the server (`chat`), and who is there now (`members`).

export type Role = 'invited' | 'member' | 'admin' | 'owner';

// Roles in the order of what they allow.
const ROLES: readonly Role[] = ['invited', 'member', 'admin', 'owner'];

// What members may be given.
export const GIVEN_ROLES: readonly Role[] = ROLES.slice(1);

// How long a group is muted, in seconds; `null` is for good, and 0 not any more.
export type MuteLength = number | null;

// A publication that says what somebody is from now on; `none` is no member any more.
export interface RoleChange {
  readonly user: string;
  readonly role: Role | 'none';
}

export interface RosterMember {
  readonly user: string;
  readonly role: Role;
}

export function roleOf(word: unknown): Role | 'none' {
  return ROLES.find((role) => role === word) ?? 'none';
}

export function isMember(role: Role | 'none'): boolean {
  return role !== 'none' && role !== 'invited';
}

// Whether somebody may invite, and send members away.
export function leads(role: Role | 'none'): boolean {
  return role === 'admin' || role === 'owner';
}

// Whether somebody may send another one away, or take an invitation back.
export function mayKick(role: Role | 'none', other: Role): boolean {
  return leads(role) && ROLES.indexOf(other) < ROLES.indexOf(role as Role);
}

export class Roster {
  #roles = new Map<string, Role>();
  #members: readonly RosterMember[] | null = null;
  // Whether it was asked for.
  isLoaded = false;

  // Everybody, in the order of names; another array after each change.
  get members(): readonly RosterMember[] {
    this.#members ??= [...this.#roles]
      .map(([user, role]) => ({ user, role }))
      .sort((one, other) => (one.user < other.user ? -1 : 1));
    return this.#members;
  }

  // How many members there are, without those who are invited.
  get count(): number {
    return this.members.filter(({ role }) => isMember(role)).length;
  }

  // A list that holds now.
  set(members: Iterable<RosterMember>): void {
    this.#roles = new Map([...members].map(({ user, role }) => [user, role]));
    this.#members = null;
    this.isLoaded = true;
  }

  change({ user, role }: RoleChange): void {
    if (role === 'none') this.#roles.delete(user);
    else this.#roles.set(user, role);
    this.#members = null;
  }
}
