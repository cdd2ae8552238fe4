/**
 * What the isolation sanitizer knows to be wrong: one row a rule. Findings, the policy's severities, documentation and
 * messages all name rules by these identifiers.
 */
export interface RuleRow {
  /** As a heading */
  readonly name: string;
  /** What must hold, in one or two sentences */
  readonly rule: string;
  /** How the breach is used by the other party */
  readonly danger: string;
}

const rule = (name: string, text: string, danger: string): RuleRow => ({ name, rule: text, danger });

// prettier-ignore
const rows = {
  'guest-page': rule('Guest page reachable by the VMM', 'A page that a table in force gives to a guest is mapped by no table of the VMM.', 'The VMM reads or changes the guest\'s memory.'),
  'two-guests': rule('Page of two guests', 'A page has exactly one owner: it is mapped for one guest only.', 'One guest reads or changes the other\'s memory.'),
  'two-addresses': rule('Page at two addresses', 'A page is at one guest-physical address of its guest.', 'The VMM makes two of the guest\'s pages one: a store to the first changes the second.'),
  'monitor-memory': rule('Monitor memory reachable', 'No table of the VMM or of a guest maps memory of the monitor.', 'Keys, ownership and tables of the monitor can be read or changed: nothing else holds any more.'),
  'control-structure': rule('Control structure writable', 'What the processor takes orders from (VMCS, bitmaps, MSR areas, EPT tables) is writable by nobody but the monitor.', 'Whoever writes it decides what traps, what is mapped, and with which state a guest runs.'),
  'device-access': rule('Page reachable by a device', 'No device\'s domain maps a page of a guest, of the monitor, or a control structure.', 'Whoever programs the device reads or changes the page by DMA.'),
  'no-remapping': rule('Devices are not remapped', 'DMA remapping is on whenever the VMM runs.', 'Whoever programs a device reaches all of memory by DMA.'),
  'stale-mapping': rule('Stale mapping usable', 'After a page has changed its owner no processor and no IOMMU still holds a translation by which the former owner reaches it.', 'The former owner reads or changes the page through the cached translation.'),
  'entry-state': rule('Guest state changed', 'A guest is entered in the state in which it was left, but for the legal effect of its last exit.', 'Control over registers of a guest is control over what it does and tells.'),
  'vcpu-twice': rule('Virtual processor on two processors', 'A VMCS is active on one processor at a time; before it moves it is cleared.', 'The guest runs twice from one state, and the processors\' copies of the VMCS diverge.'),
  'launch-state': rule('Wrong state at launch', 'The first entry of a guest is in the execution mode that the policy requires.', 'The measured image does something else in another mode.'),
  'bypass': rule('Entry bypasses the monitor', 'A guest is entered with an EPT that the monitor holds, and with the controls that the policy requires.', 'What should trap does not, or the guest runs on tables of another.'),
  'host-state': rule('Exit does not arrive in the monitor', 'The host state of a VMCS that is entered leads to code of the monitor, through page tables of the monitor.', 'At the next exit other code runs in VMX root operation.'),
  'secret-register': rule('Secret in a register', 'What the VMM or another guest finds in registers when control goes to it depends on no secret, but for what the last exit shows legally.', 'Whoever forces exits reads the guest\'s registers piece by piece.'),
  'secret-memory': rule('Secret in reach', 'No byte that depends on a secret lies where the VMM or another guest can read it, unless a declared encryption has made it.', 'The VMM reads it, copies it, or saves it to its disk.'),
  'secret-device': rule('Secret read by a device', 'No device reads a byte that depends on a secret.', 'It goes to a disk or a network that is another\'s.'),
  'secret-output': rule('Secret put out', 'No byte that depends on a secret goes to a port or to a device\'s register.', 'It shows up in a log, on a console, on a disk.'),
  'iv-reused': rule('Initialization vector used twice', 'A declared encryption gets each pair of key and initialization vector once.', 'Equal beginnings of two versions have equal ciphertexts; with a stream cipher both plaintexts follow.'),
  'unwalkable': rule('Table too large to be walked', 'A table in force refers to a bounded number of tables; one that refers to itself has no end.', 'What it maps is not known.'),
} as const satisfies Record<string, RuleRow>;

export type IsolationRule = keyof typeof rows;
export const ISOLATION_RULES: Readonly<Record<IsolationRule, RuleRow>> = rows;
export const ISOLATION_RULE_IDS = Object.keys(rows) as readonly IsolationRule[];
