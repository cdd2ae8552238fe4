import type { IsolationRule } from './rules';

/**
 * A breach of isolation: what the sanitizer stops at. All facts of the platform; names of layers and symbols, and who wrote
 * an entry, are added by those who know them.
 */
export interface Finding {
  readonly rule: IsolationRule;
  /** The same breach has the same key: it is told once, until it has ended */
  readonly key: string;
  /** Machine.moment at which it was found: when control goes to someone who can use it */
  readonly moment: number;
  /** The processor whose VM entry (or access) it was found at, and its retired instructions */
  readonly vcpu: number;
  readonly instruction: number;
  /** One line: who can do what with which page */
  readonly title: string;
  /** What it means, in sentences */
  readonly text: string;
  /** How it came to this, in the order in which it is to be read */
  readonly path: readonly PathStep[];
}

/** One step: an entry of a walk, a change of owner, an instruction that moved bytes. */
export interface PathStep {
  /** In words, without the addresses below: "EPT PTE of the VMM", "became the page of guest 1" */
  readonly what: string;
  /** Host-physical: where the entry or the bytes lie */
  readonly address?: bigint;
  /** Bytes there that the step is about; 8 when absent */
  readonly length?: number;
  /** Of an entry: its value */
  readonly value?: bigint;
  /** When it happened, and by whose instruction, where that is known */
  readonly moment?: number;
  readonly vcpu?: number;
  /** Linear address of the instruction */
  readonly rip?: bigint;
  /** Whose it was: the VMCS of a context, 'root', or a device's requester ID */
  readonly by?: Party;
}

export type Party =
  | { readonly kind: 'root' }
  | { readonly kind: 'vmcs'; readonly vmcs: bigint }
  | { readonly kind: 'device'; readonly requester: number };
