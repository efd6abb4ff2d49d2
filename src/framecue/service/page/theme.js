/* Runs before the first paint, so that a chosen theme never flashes. */
(() => {
  const root = document.documentElement;
  const chosen = (() => {
    try {
      return localStorage.getItem("framecue-theme");
    } catch {
      return null;
    }
  })();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
})();
