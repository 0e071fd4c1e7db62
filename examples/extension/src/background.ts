// The toolbar's button opens the panel, and so does an entry in the menu of a selected text. The
// model lives in the panel: an extension's service worker can start no workers and is ended soon.

chrome.runtime.onInstalled.addListener(() => {
  chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
  chrome.contextMenus.create({ id: 'ask', title: 'Ask the model about “%s”', contexts: ['selection'] });
});

chrome.contextMenus.onClicked.addListener(({ selectionText }, tab) => {
  // Nothing may be awaited first: the panel opens only in answer to the click.
  if (tab) void chrome.sidePanel.open({ windowId: tab.windowId });
  void chrome.storage.session.set({ selection: selectionText });
});
