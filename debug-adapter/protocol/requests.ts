/**
 * Custom requests and events of the adapter, typed as DAP's own. Addresses are strings "0x..." of 16 digits or fewer;
 * counts are numbers. The extension's views use nothing else.
 */

/** launch.json attributes of type "undervisor". */
export interface LaunchArguments {
  /** Image that boots first; absent only with `recording` */
  program: string;
  /** Further images given to it as modules, in order; `layer` names the layer that runs it, for symbols and views; `commandLine` defaults to it */
  modules?: { file: string; layer?: string; commandLine?: string }[];
  /** Name of the layer that `program` runs as */
  layer?: string;
  /** Images with symbols only (no module), e.g. a kernel inside a disk image */
  symbols?: { file: string; layer: string; bias?: string }[];
  commandLine?: string;
  /** MiB, default 64 */
  memory?: number;
  /** vCPUs, and the instructions of a turn when there are several */
  processors?: number;
  quantum?: number;
  /** A TPM 2.0, with the FIFO ('tis') or the CRB interface ('crb', also true). Default false */
  tpm?: boolean | 'tis' | 'crb';
  /** How `program` is loaded; default 'auto': by its headers */
  boot?: 'auto' | 'pvh' | 'multiboot' | 'multiboot2' | 'elf' | 'raw';
  /** Of a raw image: where it goes, where it begins (physical, "0x7c00"), and in which mode */
  raw?: { address?: string; entry?: string; bits?: 16 | 32 };
  /** Disk images; `interface` default 'ide', `write` default 'copy-on-write': what the machine writes stays in memory */
  disks?: { file: string; interface?: 'ide' | 'virtio'; readOnly?: boolean; write?: 'copy-on-write' | 'through' }[];
  /** A VT-d unit in front of all DMA and interrupt messages. Default false */
  iommu?: boolean;
  /** Every use of a cached translation that the tables in memory contradict can stop the machine. Slower. Default false */
  strictTranslation?: boolean;
  /** Policy of the isolation sanitizer, or the path of a JSON file that holds it. Absent: nothing is checked */
  isolation?: string | Record<string, unknown>;
  /** What the real-time clock shows at power-on: "2026-01-01T00:00:00Z" (the default) */
  startTime?: string;
  /** Where the generator behind RDRAND and RDSEED begins: a whole number, default 0 */
  randomSeed?: number;
  /** Write the run down in this file (.uvrec); true: "<program>.uvrec" beside the program */
  record?: boolean | string;
  /** Open this recording (.uvrec) in place of a program */
  recording?: string;
  /** Stop at the first instruction, at a function ("main"), at the first VM exit ("exit:any", "exit:CPUID"), or not at all. Default false */
  stopOnEntry?: boolean | string;
  /** Default true */
  translator?: boolean;
  /** Shell command that makes missing images, for clients that can run one; the adapter itself runs none */
  build?: string;
  noDebug?: boolean;
  /** Records the run, so that one can go back; `memory`: MiB that history may take, default 256. Default true */
  history?: boolean | { memory?: number };
  /** Stop before the session ends, also when the machine ends with success. Default false */
  stopAtEnd?: boolean;
}

/**
 * 'undervisor/exits': VM exits recorded so far, newest last. With `layers` or `reasons` only those that match are
 * counted: `start` and `total` too are positions among them.
 */
export interface ExitsArguments {
  start: number;
  count: number;
  /** Names of layers that were left; absent: any */
  layers?: string[];
  /** Basic exit reasons; absent: any */
  reasons?: number[];
}
export interface ExitRow {
  n: number;
  /** Position in the log of all exits, for undervisor/goTo */
  event: number;
  /** When the exit was complete */
  moment: number;
  /** It is ahead of where the machine stands in its past */
  ahead?: true;
  instruction: number;
  vcpu: number;
  layer: string;
  reason: number;
  name: string;
  rip: string;
  symbol: string;
  /** Place of RIP in a source file that is here; absent without DWARF or file */
  source?: { path: string; line: number };
  /** Decoded exit qualification in words */
  qualification: string;
}
export interface ExitsResponse {
  total: number;
  rows: ExitRow[];
}

/** 'undervisor/exitKinds': which layers have been left for which reasons, and how often, in order of appearance. */
export interface ExitKind {
  layer: string;
  reason: number;
  name: string;
  count: number;
}
export interface ExitKindsResponse {
  kinds: ExitKind[];
}

/** 'undervisor/translate': every step of one translation in the address space of a frame (or the running context). */
export interface TranslateArguments {
  address: string;
  frameId?: number;
  /** Where the address is meant; default 'linear' */
  space?: 'linear' | 'guest-physical';
  /** A device's address instead, through the IOMMU: PCI requester ID, bus << 8 | device << 3 | function */
  requester?: number;
}
export interface TranslateStep {
  name: string;
  table: 'paging' | 'ept' | 'iommu';
  level: number;
  entryAddress: string;
  entry: string;
  input: string;
  output: string;
  flags: string[];
}
export interface TranslateResponse {
  layer: string;
  linear?: string;
  guestPhysical?: string;
  hostPhysical?: string;
  steps: TranslateStep[];
  failure?: string;
}

/** 'undervisor/pages': the decisions announced by probes, newest last. */
export interface PagesArguments {
  start: number;
  count: number;
  hpa?: string;
}
export type PageDecision = 'owner' | 'encrypted' | 'decrypted' | 'refused' | 'verified' | 'corrupt';
export interface PageRow {
  n: number;
  moment: number;
  /** It is ahead of where the machine stands in its past */
  ahead?: true;
  instruction: number;
  decision: PageDecision;
  hpa: string;
  gpa: string;
  vm: number;
  why: string;
  /** Function of the monitor that decided, with source place */
  symbol: string;
}
export interface PagesResponse {
  total: number;
  rows: PageRow[];
}

/** 'undervisor/layers': the contexts that exist and their names. */
export interface LayerRow {
  name: string;
  contextId: number;
  vcpu: number;
  root: boolean;
  vmcs?: string;
  running: boolean;
  rip: string;
  symbol: string;
  lastLeft?: string;
}
export interface LayersResponse {
  layers: LayerRow[];
}

/** 'undervisor/continueToExit' and 'undervisor/continueToEntry': run to the next VM exit / entry of any vCPU. */
export interface ContinueToArguments {
  threadId: number;
}

/** 'undervisor/changed' event: views refresh. Sent at each stop and, throttled, while running. */
export interface ChangedEventBody {
  exits: number;
  pages: number;
  instructions: number;
  /** Whether there is a past to go to */
  recording: boolean;
  /** With a recording to a file: up to which moment the file has the run, whatever happens to the adapter now */
  recorded?: number;
  /** Where the machine stands, and the earliest and the latest moment that it can go to */
  moment: number;
  first: number;
  end: number;
  /** It stands before `end` */
  past: boolean;
  /** How often the past has been changed */
  branch: number;
}

/** 'undervisor/branched' event: the past was changed at a moment, and what was recorded behind it is gone. */
export interface BranchedEventBody {
  moment: number;
  instructions: number;
  branch: number;
  /** Names of bookmarks that went with it */
  bookmarks: string[];
}

/**
 * 'undervisor/stepBackInto' and 'undervisor/stepBackOut': as stepIn and stepOut, in the other direction;
 * 'undervisor/backToExit' and 'undervisor/backToEntry': to the previous VM exit / entry of any vCPU.
 */
export interface StepBackArguments {
  threadId: number;
  granularity?: 'statement' | 'line' | 'instruction';
}

/** 'undervisor/goTo': one of these. The machine stops there. */
export interface GoToArguments {
  moment?: number;
  /** Instructions of all vCPUs since power-on */
  instruction?: number;
  /** Position in the log of VM exits, as ExitRow.event */
  event?: number;
  /** Name of a bookmark */
  bookmark?: string;
}

/** 'undervisor/setBookmark' marks now, 'undervisor/removeBookmark' takes the name, 'undervisor/bookmarks' lists. */
export interface SetBookmarkArguments {
  name?: string;
}
export interface RemoveBookmarkArguments {
  name: string;
}
export interface BookmarkRow {
  name: string;
  moment: number;
  instruction: number;
  vcpu: number;
  /** "guest at guest_main+0x10" */
  place: string;
  /** It is ahead of where the machine stands */
  ahead: boolean;
}
export interface BookmarksResponse {
  bookmarks: BookmarkRow[];
}

/**
 * 'undervisor/export': writes the run so far to a file, for other tools. Answered when it has begun; the session goes on
 * meanwhile. `cancel` with the progressId ends it.
 */
export interface ExportArguments {
  path: string;
  /** Trace Event Format (the default), or one JSON object a line */
  format?: 'perfetto' | 'jsonl';
  /** Moments; default: the whole run */
  from?: number;
  to?: number;
}
export interface ExportResponse {
  progressId: string;
  /** The last moment of the run so far */
  end: number;
}

/** 'undervisor/exported' event: an export is over. `error`: why it is not whole */
export interface ExportedEventBody {
  path: string;
  from?: number;
  to?: number;
  rows?: number;
  error?: string;
}

/**
 * An answer about the past: in words and, when there is such a moment, where. The state at `moment` is the one before
 * what is told of took place.
 */
export interface QuestionAnswer {
  text: string;
  moment?: number;
  vcpu?: number;
  layer?: string;
  rip?: string;
  source?: { path: string; line: number };
}

/**
 * 'undervisor/lastWrite': who last wrote to a variable (`variablesReference` and `name`), to what an expression names
 * (`name`, `frameId`), to `bytes` bytes at an address (`asAddress`), to a field of the frame's VMCS (`vmcs`), or to the table
 * entry that maps an address (`entry`: 'paging' of a linear, 'ept' of a guest-physical one).
 */
export interface LastWriteArguments {
  name: string;
  variablesReference?: number;
  frameId?: number;
  asAddress?: boolean;
  bytes?: number;
  vmcs?: boolean;
  entry?: 'paging' | 'ept';
}

/** 'undervisor/lastTrue': when a C condition was last true in the context of a frame, before now. */
export interface LastTrueArguments {
  condition: string;
  frameId?: number;
}

/** 'undervisor/ownerHistory': what probes claimed about a page, oldest first. */
export interface OwnerHistoryArguments {
  address: string;
}
export interface OwnerHistoryResponse {
  rows: QuestionAnswer[];
}

/** 'undervisor/exitsBetween': all VM exits behind one moment, up to another and with it, of all vCPUs. */
export interface ExitsBetweenArguments {
  from: number;
  to: number;
}
export interface ExitsBetweenResponse {
  /** At most 10000, of `total` */
  total: number;
  rows: ExitRow[];
}
