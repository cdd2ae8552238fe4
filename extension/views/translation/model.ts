import type { TranslateResponse, TranslateStep } from '../../../debug-adapter/protocol/requests';
import { detail, type TreeNode } from '../model/node';

/**
 * One translation as a tree. Under two-dimensional paging each guest table is itself found through EPT (SDM vol. 3,
 * "EPT translation mechanism"), so the EPT entries that located a guest entry stand inside its row; those that
 * translate the final guest-physical address stand at the top level, below the guest's.
 */
export function translationNodes(expression: string, result: TranslateResponse): readonly TreeNode[] {
  const nodes: TreeNode[] = [];
  let pending: TranslateStep[] = [];
  for (const step of result.steps) {
    if (step.table === 'ept') pending.push(step);
    else {
      nodes.push(stepNode(`${nodes.length}`, step, pending));
      pending = [];
    }
  }
  const last = pending.map((step, index) => stepNode(`last/${index}`, step, []));
  const start = result.linear ?? result.guestPhysical;
  return [
    ...(start === undefined
      ? []
      : [address('input', result.linear ? 'Linear' : 'Guest-physical', start, `${expression} in ${result.layer}`)]),
    ...nodes,
    ...(result.linear && result.guestPhysical ? [address('gpa', 'Guest-physical', result.guestPhysical)] : []),
    ...last,
    ...(result.hostPhysical ? [address('hpa', 'Host-physical', result.hostPhysical)] : []),
    ...(result.failure ? [failureNode(result.failure)] : []),
  ];
}

function address(id: string, label: string, value: string, note = ''): TreeNode {
  return {
    id: `translation/${id}`,
    label: `${label} ${value}`,
    description: note,
    tooltip: `${label} address ${value}`,
    icon: 'location',
  };
}

export function failureNode(message: string): TreeNode {
  return { id: 'translation/failure', label: message, tooltip: message, icon: 'error', color: 'charts.red' };
}

function stepNode(index: string, step: TranslateStep, located: readonly TranslateStep[]): TreeNode {
  const id = `translation/${step.table}/${index}`;
  return {
    id,
    label: step.name,
    description: `${step.output}  ${step.flags.join(' ')}`,
    tooltip: `${step.name} at ${step.entryAddress}: ${step.entry}\n${step.input} leads to ${step.output}\n${step.flags.join(', ')}`,
    icon: step.table === 'ept' ? 'layers' : 'table',
    // A guest's table lies at guest-physical addresses, also where these are the host's.
    who: { address: `${step.table === 'paging' ? 'guest' : 'host'}-physical:${step.entryAddress}`, bytes: 8 },
    children: () => [
      detail(id, 'Entry', `${step.entry} at ${step.entryAddress}`),
      detail(id, 'Input', step.input),
      detail(id, 'Output', step.output),
      detail(id, 'Flags', step.flags.join(', ') || 'none'),
      ...(located.length === 0 ? [] : [tableWalk(id, step, located)]),
    ],
  };
}

function tableWalk(parent: string, step: TranslateStep, steps: readonly TranslateStep[]): TreeNode {
  return {
    id: `${parent}/ept`,
    label: `EPT walk to this ${step.name}`,
    description: `${steps.length} entries`,
    icon: 'layers',
    children: () => steps.map((inner, index) => stepNode(`${parent}/${index}`, inner, [])),
  };
}
