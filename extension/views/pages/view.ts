import type { ActiveSession } from '../../session/active-session';
import { ModelTree } from '../tree-view';
import { PagesModel } from './model';

/** The Pages view. */
export function createPagesView(active: ActiveSession): ModelTree {
  const create = () =>
    new PagesModel(
      (start, count) => active.request('undervisor/pages', { start, count }),
      () => active.time?.moment ?? Infinity,
    );
  let model = create();
  return new ModelTree(
    'undervisor.pages',
    active,
    () => model.nodes(),
    () => (model = create()),
  );
}
