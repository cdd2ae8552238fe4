import { strict as assert } from 'node:assert';
import { EptControl } from '../../emulator/memory/paging-context';
import { AccessBit, WalkFault } from '../../emulator/memory/walker';
import { Permission } from '../../emulator/memory/tlb';
import { NX, NXE, PAE, PSE, SMAP, SMEP, Tables } from './tables';

const { WRITE, USER, FETCH, SMAP_LIFTED } = AccessBit;
const ALL = Permission.READ | Permission.WRITE | Permission.EXECUTE;
const PAGE = 0x123000;

describe('page walker, 4-level', () => {
  let t: Tables;
  let linear: bigint;
  beforeEach(() => {
    t = new Tables();
    linear = t.mapLong(PAGE);
  });

  const fault = (access: number, registers = {}): number => {
    assert.equal(t.walker.walk(t.context(registers), linear, access), false);
    assert.equal(t.walker.fault, WalkFault.PageFault);
    return t.walker.errorCode;
  };
  const succeeds = (access: number, registers = {}): void => {
    assert.equal(t.walker.walk(t.context(registers), linear, access), true);
  };

  it('translates, and sets accessed flags in every entry but dirty only for a write', () => {
    assert.equal(t.walker.walk(t.context({}), linear + 0x678n, USER), true);
    assert.equal(t.walker.hostPhysical, PAGE + 0x678);
    assert.equal(t.walker.permissions, Permission.READ | Permission.EXECUTE);
    for (const at of [0x1008, 0x2010, 0x3018, 0x4028]) assert.equal(t.read(at) & 0x60n, 0x20n, at.toString(16));
    succeeds(USER | WRITE);
    assert.equal(t.read(0x4028) & 0x60n, 0x60n);
    assert.equal(t.read(0x3018) & 0x60n, 0x20n);
    assert.equal(t.walker.permissions, ALL);
  });

  it('reports not-present entries of every level with P clear', () => {
    for (const at of [0x1008, 0x2010, 0x3018, 0x4028]) {
      const entry = t.read(at);
      t.entry(at, entry & ~1n);
      assert.equal(fault(WRITE | USER), WRITE | USER, at.toString(16));
      assert.equal(fault(FETCH), FETCH);
      t.entry(at, entry);
    }
  });

  it('does not touch flags in memory when the walk faults', () => {
    t.entry(0x4028, 0n);
    fault(0);
    assert.equal(t.read(0x1008) & 0x20n, 0n);
  });

  it('maps 2-MByte and 1-GByte pages and checks their reserved address bits', () => {
    t.entry(0x3018, 0x200000n | 0x87n);
    assert.equal(t.walker.walk(t.context({}), linear, 0), true);
    assert.equal(t.walker.hostPhysical, 0x205000);
    assert.equal(t.walker.pageSize, 0x200000);
    t.entry(0x3018, 0x200000n | 0x87n | 0x2000n);
    assert.equal(fault(0), 9);
    t.entry(0x2010, 0x40000000n | 0x87n);
    assert.equal(t.walker.walk(t.context({}), linear, 0), true);
    assert.equal(t.walker.hostPhysical, 0x40000000 + 3 * 0x200000 + 0x5000);
    t.entry(0x2010, 0x40000000n | 0x87n | 0x200000n);
    assert.equal(fault(USER), 13);
  });

  it('takes bits beyond the physical-address width, PML4E bit 7 and XD without NXE as reserved', () => {
    t.entry(0x4028, BigInt(PAGE) | 7n | (1n << 39n));
    assert.equal(fault(0), 9);
    t.entry(0x4028, BigInt(PAGE) | 7n | (1n << 38n));
    succeeds(0);
    t.entry(0x4028, BigInt(PAGE) | 7n | NX);
    succeeds(0);
    assert.equal(fault(0, { efer: 0x500n }), 9);
    t.entry(0x4028, BigInt(PAGE) | 7n);
    t.entry(0x1008, 0x2087n);
    assert.equal(fault(WRITE), 11);
  });

  it('combines U/S and R/W over the levels, CR0.WP for the supervisor', () => {
    t.entry(0x3018, 0x4003n);
    assert.equal(fault(USER), 5);
    succeeds(WRITE);
    t.entry(0x3018, 0x4005n);
    assert.equal(fault(USER | WRITE), 7);
    assert.equal(fault(WRITE), 3);
    succeeds(WRITE, { cr0: 0x80000001n });
  });

  it('honours execute-disable, and reports the fetch only where it can be told apart', () => {
    t.entry(0x2010, 0x3007n | NX);
    assert.equal(fault(FETCH), 17);
    assert.equal(fault(FETCH | USER), 21);
    t.entry(0x2010, 0n);
    assert.equal(fault(FETCH, { efer: 0x500n }), 0);
    assert.equal(fault(FETCH, { efer: 0x500n, cr4: PAE | SMEP }), 16);
  });

  it('honours SMEP and SMAP, and what RFLAGS.AC lifts', () => {
    assert.equal(fault(FETCH, { cr4: PAE | SMEP }), 17);
    succeeds(FETCH | USER, { cr4: PAE | SMEP });
    assert.equal(fault(0, { cr4: PAE | SMAP }), 1);
    assert.equal(fault(WRITE, { cr4: PAE | SMAP }), 3);
    succeeds(WRITE | SMAP_LIFTED, { cr4: PAE | SMAP });
    succeeds(USER, { cr4: PAE | SMAP });
  });

  it('reports global pages only with CR4.PGE', () => {
    t.mapLong(PAGE, 7n, 0x107n);
    succeeds(0);
    assert.equal(t.walker.global, false);
    succeeds(0, { cr4: PAE | 0x80n });
    assert.equal(t.walker.global, true);
  });

  it('changes nothing and asks nothing in probe mode, and shows every entry', () => {
    t.entry(0x4028, BigInt(PAGE) | 1n | NX);
    const steps: string[] = [];
    t.walker.sink = (table, name, level, at, low, _high, _input, output) => {
      steps.push(`${table} ${name} ${level} ${at.toString(16)} ${low.toString(16)} ${output.toString(16)}`);
    };
    assert.equal(t.walker.walk(t.context({ cr4: PAE | SMAP }), linear, USER | WRITE, true), true);
    assert.deepEqual(steps, [
      'paging PML4E 4 1008 2007 2000',
      'paging PDPTE 3 2010 3007 3000',
      'paging PDE 2 3018 4007 4000',
      'paging PTE 1 4028 123001 123000',
    ]);
    assert.equal(t.read(0x1008) & 0x20n, 0n);
  });

  it('passes addresses through when paging is off', () => {
    assert.equal(t.walker.walk(t.context({ cr0: 1n, efer: 0n }), 0x12345678n, WRITE), true);
    assert.equal(t.walker.hostPhysical, 0x12345678);
    assert.equal(t.walker.permissions, ALL);
  });
});

describe('page walker, 32-bit', () => {
  const registers = { cr4: PSE, efer: 0n };

  it('translates 4-KByte and 4-MByte pages, PSE-36 included', () => {
    const t = new Tables();
    t.entry32(0x1000 + 2 * 4, 0x2007);
    t.entry32(0x2000 + 3 * 4, 0x123007);
    const linear = BigInt((2 << 22) | (3 << 12) | 0xabc);
    assert.equal(t.walker.walk(t.context(registers), linear, USER | WRITE), true);
    assert.equal(t.walker.hostPhysical, 0x123abc);
    assert.equal(t.read(0x2008) >> 32n, 0x123067n);
    t.entry32(0x1008, 0x800087 | (0x3 << 13));
    assert.equal(t.walker.walk(t.context(registers), linear, 0), true);
    assert.equal(t.walker.hostPhysical, 3 * 2 ** 32 + 0x800000 + 0x3abc);
    assert.equal(t.walker.pageSize, 0x400000);
    t.entry32(0x1008, 0x800087 | (1 << 20));
    assert.equal(t.walker.walk(t.context(registers), linear, 0), false);
    assert.equal(t.walker.errorCode, 9);
  });

  it('ignores bit 7 without CR4.PSE, and has no execute-disable', () => {
    const t = new Tables();
    t.entry32(0x1000, 0x2087);
    t.entry32(0x2000, 0x5007);
    assert.equal(t.walker.walk(t.context({ cr4: 0n, efer: NXE }), 0x10n, FETCH), true);
    assert.equal(t.walker.hostPhysical, 0x5010);
    t.entry32(0x2000, 0);
    assert.equal(t.walker.walk(t.context({ cr4: 0n, efer: NXE }), 0x10n, FETCH), false);
    assert.equal(t.walker.errorCode, 0);
  });
});

describe('page walker, PAE', () => {
  it('uses the PDPTE registers, not memory, once they are loaded', () => {
    const t = new Tables();
    t.entry(0x1008, 0x2001n);
    t.entry(0x2000 + 8, 0x3007n);
    t.entry(0x3000 + 2 * 8, 0x123007n);
    const linear = (1n << 30n) | (1n << 21n) | (2n << 12n);
    const context = t.context({ efer: NXE });
    assert.equal(t.walker.walk(context, linear, 0), true);
    assert.equal(t.walker.hostPhysical, 0x123000);
    context.setPdpte(1, 0n);
    assert.equal(t.walker.walk(context, linear, 0), false);
    assert.equal(t.walker.errorCode, 0);
    context.setPdpte(1, 0x2001n);
    assert.equal(t.walker.walk(context, linear, USER | WRITE), true);
  });

  it('reserves bits 62:52, and XD when NXE is clear', () => {
    const t = new Tables();
    t.entry(0x1000, 0x2001n);
    t.entry(0x2000, 0x3007n);
    t.entry(0x3000, 0x5007n | (1n << 52n));
    assert.equal(t.walker.walk(t.context({ efer: NXE }), 0n, 0), false);
    assert.equal(t.walker.errorCode, 9);
    t.entry(0x3000, 0x5007n | NX);
    assert.equal(t.walker.walk(t.context({ efer: 0n }), 0n, 0), false);
    assert.equal(t.walker.walk(t.context({ efer: NXE }), 0n, 0), true);
    assert.equal(t.walker.walk(t.context({ efer: NXE }), 0n, FETCH), false);
    assert.equal(t.walker.errorCode, 17);
  });
});

describe('page walker, two dimensions', () => {
  let t: Tables;
  let linear: bigint;
  let eptp: bigint;
  beforeEach(() => {
    t = new Tables();
    linear = t.mapLong(PAGE);
    eptp = t.mapEpt();
  });

  const violates = (access: number, guestPhysical: number, qualification: number, pointer = eptp): void => {
    assert.equal(t.walker.walk(t.context({ eptp: pointer }), linear + 4n, access), false);
    assert.equal(t.walker.fault, WalkFault.EptViolation);
    assert.equal(t.walker.guestPhysical, guestPhysical);
    assert.equal(t.walker.qualification.toString(2), qualification.toString(2));
  };

  it('translates the tables and the page', () => {
    t.eptPage(PAGE, 0x77000, 7n);
    t.eptPage(0x4000, 0x80000, 7n);
    t.entry(0x80000 + 5 * 8, BigInt(PAGE) | 7n);
    t.entry(0x4028, 0n);
    assert.equal(t.walker.walk(t.context({ eptp }), linear + 4n, WRITE), true);
    assert.equal(t.walker.guestPhysical, PAGE + 4);
    assert.equal(t.walker.hostPhysical, 0x77004);
    assert.equal(t.read(0x80028) & 0x60n, 0x60n, 'guest flags are set through EPT');
  });

  it('reports read, write and fetch violations with the permissions in force', () => {
    t.eptPage(PAGE, PAGE, 0n);
    violates(0, PAGE + 4, 0b11110000001);
    violates(WRITE, PAGE + 4, 0b11110000010);
    violates(FETCH, PAGE + 4, 0b11110000100);
    t.eptPage(PAGE, PAGE, 1n);
    violates(WRITE, PAGE + 4, 0b11110001010);
    t.eptPage(PAGE, PAGE, 3n);
    violates(FETCH, PAGE + 4, 0b11110011100);
    t.eptPage(PAGE, PAGE, 4n);
    violates(0, PAGE + 4, 0b11110100001);
  });

  it('clears bit 8 for the access to a paging-structure entry', () => {
    t.eptPage(0x3000, 0x3000, 0n);
    violates(WRITE, 0x3018, 0b010000001);
  });

  it('raises a violation for the write of an accessed flag to a table that is read-only', () => {
    t.eptPage(0x2000, 0x2000, 5n);
    violates(0, 0x2010, 0b010101011);
    t.entry(0x2010, t.read(0x2010) | 0x20n);
    assert.equal(t.walker.walk(t.context({ eptp }), linear, 0), true);
  });

  it('treats table accesses as writes when EPT has accessed and dirty flags, and sets those', () => {
    const flags = eptp | 0x40n;
    t.eptPage(0x2000, 0x2000, 5n);
    t.entry(0x2010, t.read(0x2010) | 0x20n);
    violates(0, 0x2010, 0b010101011, flags);
    t.eptPage(0x2000, 0x2000, 7n);
    assert.equal(t.walker.walk(t.context({ eptp: flags }), linear, 0), true);
    const leaf = 0x13000 + (PAGE >>> 12) * 8;
    assert.equal(t.read(leaf) & 0x300n, 0x100n);
    assert.equal(t.walker.permissions & Permission.WRITE, 0, 'no write permission before the EPT dirty flag is set');
    assert.equal(t.read(0x13000 + 2 * 8) & 0x300n, 0x300n);
    assert.equal(t.walker.walk(t.context({ eptp: flags }), linear, WRITE), true);
    assert.equal(t.read(leaf) & 0x300n, 0x300n);
    assert.equal(t.read(0x12000) & 0x300n, 0x100n);
  });

  it('tells of a violation what paging allows: user or supervisor, writable, execute-disabled', () => {
    t.eptPage(PAGE, PAGE, 0n);
    linear = t.mapLong(PAGE, 7n, NX | 7n);
    violates(0, PAGE + 4, 0b111110000001);
    linear = t.mapLong(PAGE, 3n);
    violates(0, PAGE + 4, 0b010110000001);
    linear = t.mapLong(PAGE, 1n);
    violates(0, PAGE + 4, 0b000110000001);
    const unpaged = t.context({ cr0: 0n, efer: 0n, eptp });
    assert.equal(t.walker.walk(unpaged, BigInt(PAGE), 0), false);
    assert.equal(t.walker.qualification, 0b011110000001, 'without paging every address is user-mode and writable');
  });

  it('asks bit 10 instead of bit 2 for user-mode linear addresses with mode-based execute control', () => {
    const USER_EXECUTE = 1n << 10n;
    const modeBased = (flags: bigint, leaf: bigint): boolean => {
      linear = t.mapLong(PAGE, flags);
      for (const at of [0x10000, 0x11000, 0x12000]) t.entry(at, t.read(at) | USER_EXECUTE);
      t.eptPage(PAGE, PAGE, leaf);
      return t.walker.walk(t.context({ eptp, eptControls: EptControl.MODE_BASED_EXECUTE }), linear, FETCH);
    };
    assert.equal(modeBased(3n, 5n), true);
    assert.equal(modeBased(7n, 5n), false);
    assert.equal(t.walker.qualification, 0b11110101100, 'bit 5: supervisor may, bit 6: user may not');
    assert.equal(modeBased(7n, 1n | USER_EXECUTE), true);
    assert.equal(t.walker.permissions & Permission.EXECUTE, Permission.EXECUTE);
    assert.equal(modeBased(3n, 1n | USER_EXECUTE), false);
    assert.equal(t.walker.qualification, 0b10111001100);
    assert.equal(modeBased(7n, USER_EXECUTE), true, 'bit 10 alone makes an entry present');
    assert.equal(t.walker.walk(t.context({ eptp }), linear, FETCH), false, 'and means nothing without the control');
  });

  it('walks five levels when the EPT pointer says so', () => {
    t.entry(0x20000, 0x10000n | 7n);
    const five = 0x20026n;
    assert.equal(t.walker.walk(t.context({ eptp: five }), linear, 0), true);
    assert.equal(t.walker.hostPhysical, PAGE);
    t.entry(0x20000, 0x10000n | 0x87n);
    assert.equal(t.walker.walk(t.context({ eptp: five }), linear, 0), false);
    assert.equal(t.walker.fault, WalkFault.EptMisconfiguration);
    t.entry(0x20000, 0n);
    violates(0, 0x1008, 0b010000001, five);
  });

  it('tells whether the entry that decides suppresses #VE', () => {
    const suppressed = 1n << 63n;
    t.eptPage(PAGE, PAGE, 5n);
    violates(WRITE, PAGE + 4, 0b11110101010);
    assert.equal(t.walker.convertible, true);
    t.eptPage(PAGE, PAGE, suppressed | 5n);
    violates(WRITE, PAGE + 4, 0b11110101010);
    assert.equal(t.walker.convertible, false);
    t.entry(0x12000, suppressed);
    assert.equal(t.walker.walk(t.context({ eptp }), linear, 0), false);
    assert.equal(t.walker.convertible, false, 'an entry that is not present decides itself');
  });

  it('logs pages as their dirty flags are set, and touches nothing when the log is full', () => {
    const logged: number[] = [];
    let full = false;
    t.walker.ept.log = {
      get full() {
        return full;
      },
      append: (at) => logged.push(at),
    };
    const context = t.context({ eptp: eptp | 0x40n, eptControls: EptControl.PAGE_MODIFICATION_LOG });
    assert.equal(t.walker.walk(context, linear + 0x123n, 0), true);
    assert.deepEqual(logged, [0x1000, 0x2000, 0x3000, 0x4000], 'the guest tables, which count as written');
    assert.equal(t.walker.walk(context, linear + 0x123n, WRITE), true);
    assert.deepEqual(logged.slice(4), [PAGE]);
    assert.equal(t.walker.walk(context, linear, WRITE), true);
    assert.equal(logged.length, 5, 'a dirty page is not logged again');
    const leaf = 0x13000 + (PAGE >>> 12) * 8;
    t.entry(leaf, t.read(leaf) & ~0x300n);
    full = true;
    assert.equal(t.walker.walk(context, linear, 0), false, 'also to set an accessed flag');
    assert.equal(t.walker.fault, WalkFault.LogFull);
    assert.equal(t.read(leaf) & 0x300n, 0n);
    assert.equal(t.walker.walk(t.context({ eptp: eptp | 0x40n }), linear, WRITE), true);
  });

  it('keeps a guest page fault a page fault', () => {
    t.entry(0x4028, 0n);
    assert.equal(t.walker.walk(t.context({ eptp }), linear, 0), false);
    assert.equal(t.walker.fault, WalkFault.PageFault);
  });

  const misconfigured: [string, number, bigint][] = [
    ['write without read', 0x13000 + (PAGE >>> 12) * 8, BigInt(PAGE) | 0x32n],
    ['write and execute without read', 0x13000 + (PAGE >>> 12) * 8, BigInt(PAGE) | 0x36n],
    ['reserved memory type 2', 0x13000 + (PAGE >>> 12) * 8, BigInt(PAGE) | 0x17n],
    ['reserved memory type 7', 0x13000 + (PAGE >>> 12) * 8, BigInt(PAGE) | 0x3fn],
    ['address beyond the width', 0x13000 + (PAGE >>> 12) * 8, BigInt(PAGE) | 0x37n | (1n << 39n)],
    ['bit 7 of a PML4E', 0x10000, 0x11087n],
    ['bit 3 of a PDPTE', 0x11000, 0x1200fn],
    ['bit 6 of a PDE', 0x12000, 0x13047n],
    ['low address bits of a 2-MByte page', 0x12000, 0x10b7n],
    ['low address bits of a 1-GByte page', 0x11000, 0x2000b7n],
  ];
  for (const [what, at, value] of misconfigured) {
    it(`reports an EPT misconfiguration: ${what}`, () => {
      t.entry(at, value);
      assert.equal(t.walker.walk(t.context({ eptp }), linear, 0), false);
      assert.equal(t.walker.fault, WalkFault.EptMisconfiguration);
    });
  }

  it('maps execute-only and large EPT pages', () => {
    t.eptPage(PAGE, PAGE, 4n);
    assert.equal(t.walker.walk(t.context({ eptp }), linear, FETCH), true);
    assert.equal(t.walker.permissions, Permission.EXECUTE);
    t.entry(0x12000, 0x0b7n);
    assert.equal(t.walker.walk(t.context({ eptp }), linear, WRITE), true);
    assert.equal(t.walker.hostPhysical, PAGE);
  });

  it('translates real-mode addresses when paging is off', () => {
    t.eptPage(0x5000, 0x66000, 7n);
    assert.equal(t.walker.walk(t.context({ cr0: 0n, efer: 0n, eptp }), 0x5010n, 0), true);
    assert.equal(t.walker.hostPhysical, 0x66010);
  });
});
