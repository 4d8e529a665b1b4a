// Who is in a room: a list that was asked for, and who came and went since.
//
// Deliberately absent: asking again, which a notice `crowd` makes necessary.

export interface Member {
  readonly client: string;
  readonly user: string;
  readonly name: string;
}

// A person, on however many devices.
export interface Person {
  readonly user: string;
  readonly name: string;
}

export class Members {
  #byClient = new Map<string, Member>();
  #people: readonly Person[] | null = null;
  // More than the server lists: only the number is known.
  #count = 0;

  // Everybody, in the order of names; another array after each change.
  get people(): readonly Person[] {
    if (this.#people === null) {
      const byUser = new Map<string, Person>();
      for (const { user, name } of this.#byClient.values()) byUser.set(user, { user, name });
      this.#people = [...byUser.values()].sort((one, other) => (one.user < other.user ? -1 : 1));
    }
    return this.#people;
  }

  // How many people there are.
  get count(): number {
    return Math.max(this.#count, this.people.length);
  }

  // A list that holds now.
  set(members: Iterable<Member>): void {
    this.#byClient = new Map([...members].map((member) => [member.client, member]));
    this.#count = 0;
    this.#people = null;
  }

  // There are too many to be listed.
  setCount(count: number): void {
    this.set([]);
    this.#count = count;
  }

  join(member: Member): void {
    this.#byClient.set(member.client, member);
    this.#people = null;
  }

  leave(client: string): void {
    if (this.#byClient.delete(client)) this.#people = null;
  }
}
