import type * as adapter from '../../debug-adapter/protocol/requests';

/** The adapter's own requests: what each takes and answers. */
export interface Requests {
  'undervisor/exits': [adapter.ExitsArguments, adapter.ExitsResponse];
  'undervisor/exitKinds': [Record<string, never>, adapter.ExitKindsResponse];
  'undervisor/pages': [adapter.PagesArguments, adapter.PagesResponse];
  'undervisor/translate': [adapter.TranslateArguments, adapter.TranslateResponse];
  'undervisor/layers': [Record<string, never>, adapter.LayersResponse];
  'undervisor/export': [adapter.ExportArguments, adapter.ExportResponse];
  'undervisor/lastWrite': [adapter.LastWriteArguments, adapter.QuestionAnswer];
  'undervisor/lastTrue': [adapter.LastTrueArguments, adapter.QuestionAnswer];
  'undervisor/continueToExit': [adapter.ContinueToArguments, unknown];
  'undervisor/continueToEntry': [adapter.ContinueToArguments, unknown];
  'undervisor/backToExit': [adapter.ContinueToArguments, unknown];
  'undervisor/backToEntry': [adapter.ContinueToArguments, unknown];
  'undervisor/stepBackInto': [adapter.StepBackArguments, unknown];
  'undervisor/stepBackOut': [adapter.StepBackArguments, unknown];
  'undervisor/goTo': [adapter.GoToArguments, unknown];
  'undervisor/setBookmark': [adapter.SetBookmarkArguments, adapter.BookmarkRow];
  'undervisor/removeBookmark': [adapter.RemoveBookmarkArguments, unknown];
  'undervisor/bookmarks': [Record<string, never>, adapter.BookmarksResponse];
}

export type Request = <Name extends keyof Requests>(name: Name, args: Requests[Name][0]) => Promise<Requests[Name][1]>;

export const changedEvent = 'undervisor/changed';
