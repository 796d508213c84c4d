// Light or dark as Airflow's UI is, which frames these pages (same origin); alone: as the browser asks.
"use strict";
(function () {
    const wish = window.matchMedia("(prefers-color-scheme: dark)");
    function outer() {
        try {
            return window.parent !== window ? window.parent.document.documentElement : null;
        } catch (error) {
            return null; // framed by somebody else
        }
    }
    function dark() {
        const root = outer();
        if (root && root.classList.contains("dark")) return true;
        if (root && root.classList.contains("light")) return false;
        return wish.matches;
    }
    function apply() {
        const theme = dark() ? "dark" : "light";
        if (document.documentElement.dataset.theme === theme) return;
        document.documentElement.dataset.theme = theme;
        document.dispatchEvent(new CustomEvent("foresight-theme"));
    }
    apply();
    wish.addEventListener("change", apply);
    const root = outer();
    if (root) new MutationObserver(apply).observe(root, { attributes: true, attributeFilter: ["class"] });
})();
