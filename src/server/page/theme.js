// theme.js — the chosen theme, set before anything is painted; loaded as a plain script.
(() => {
  let theme = 'auto';
  try {
    theme = JSON.parse(localStorage.getItem('nautile.theme'));
  } catch { /* storage is closed to us: as the system has it */ }
  document.documentElement.dataset.theme = ['light', 'dark'].includes(theme) ? theme : 'auto';
})();
