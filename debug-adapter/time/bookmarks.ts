import type { Moment } from '../../emulator/timeline/api';
import type { Debuggee } from '../launch/debuggee';
import type { BookmarkRow } from '../protocol/requests';
import { badArguments, userError } from '../session/errors';
import { linearRip } from '../stack/layers';

export interface Bookmark {
  readonly name: string;
  readonly moment: Moment;
  readonly instruction: number;
  readonly vcpu: number;
  /** "guest at guest_main+0x10" */
  readonly place: string;
}

/** Moments with a name, in the order of time. */
export class Bookmarks {
  private list: Bookmark[] = [];
  private ordinal = 0;

  constructor(private readonly debuggee: Debuggee) {}

  /** Marks now. Without a name: "bookmark 1" and so on; a name that is there already is moved here. */
  set(name?: string): Bookmark {
    const { debuggee } = this;
    const { focus: vcpu } = debuggee;
    if (name !== undefined && name.trim() === '') throw badArguments('undervisor/setBookmark', '"name" is empty');
    const bookmark: Bookmark = {
      name: name?.trim() ?? this.freeName(),
      moment: debuggee.moment,
      instruction: debuggee.machine.instructions,
      vcpu,
      place: debuggee.placeOf({ vcpu, rip: linearRip(debuggee.running(vcpu)) }),
    };
    this.list = [...this.list.filter((other) => other.name !== bookmark.name), bookmark];
    this.list.sort((a, b) => a.moment - b.moment);
    return bookmark;
  }

  /** @throws RequestError that names those that there are */
  find(name: string): Bookmark {
    const found = this.list.find((bookmark) => bookmark.name === name);
    if (found) return found;
    const known = this.list.map((bookmark) => `"${bookmark.name}"`).join(', ');
    throw userError(`there is no bookmark "${name}": ${known === '' ? 'none is set' : `there are ${known}`}`);
  }

  remove(name: string): void {
    const { name: found } = this.find(name);
    this.list = this.list.filter((bookmark) => bookmark.name !== found);
  }

  /** What was behind this moment is not going to be. Gives the names of those that went with it. */
  cut(at: Moment): string[] {
    const lost = this.list.filter(({ moment }) => moment > at);
    this.list = this.list.filter(({ moment }) => moment <= at);
    return lost.map(({ name }) => name);
  }

  rows(): BookmarkRow[] {
    return this.list.map((bookmark) => ({ ...bookmark, ahead: bookmark.moment > this.debuggee.moment }));
  }

  private freeName(): string {
    for (;;) {
      const name = `bookmark ${++this.ordinal}`;
      if (!this.list.some((bookmark) => bookmark.name === name)) return name;
    }
  }
}
