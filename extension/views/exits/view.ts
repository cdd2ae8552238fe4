import type { ActiveSession } from '../../session/active-session';
import { ModelTree } from '../tree-view';
import { ExitsModel } from './model';

/** The VM Exits view. */
export function createExitsView(active: ActiveSession): ModelTree {
  const create = () => new ExitsModel((start, count) => active.request('undervisor/exits', { start, count }));
  let model = create();
  return new ModelTree(
    'undervisor.exits',
    active,
    () => model.nodes(),
    () => (model = create()),
  );
}
