// Sorting by column heads and filtering without a round trip. Without this file the form filters on the server.
"use strict";
(function () {
    const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

    function key(row, column) {
        const cell = row.cells[column];
        return cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
    }

    function compare(one, other) {
        // What is unknown comes last, whichever way.
        const numbers = [one, other].map(Number);
        if (!numbers.some(Number.isNaN)) return numbers[0] - numbers[1];
        return collator.compare(one, other);
    }

    function sort(table, column, descending) {
        const body = table.tBodies[0];
        const rows = Array.from(body.rows, (row, place) => ({ row, place, key: key(row, column) }));
        rows.sort((a, b) => {
            if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "") || a.place - b.place;
            return (descending ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
        });
        body.append(...rows.map((one) => one.row));
    }

    function sortable(table) {
        const heads = Array.from(table.tHead.rows[0].cells);
        heads.forEach((head, column) => {
            const button = document.createElement("button");
            button.type = "button";
            button.append(...head.childNodes);
            head.append(button);
            button.addEventListener("click", () => {
                const descending = head.getAttribute("aria-sort") === "ascending";
                heads.forEach((other) => other.setAttribute("aria-sort", "none"));
                head.setAttribute("aria-sort", descending ? "descending" : "ascending");
                sort(table, column, descending);
            });
        });
    }

    function filtering(form) {
        const table = document.getElementById(form.dataset.filters);
        const count = form.querySelector("[data-count]");
        // The server has filtered already: only a full list can be filtered here.
        const whole = !window.location.search.replace(/[?&](q|model|rung|status)=(?=&|$)/g, "");
        if (!whole || !table) return;
        form.querySelector("button[type=submit]").hidden = true;
        function apply() {
            const asked = new FormData(form);
            const words = asked.get("q").toLowerCase().split(/\s+/).filter(Boolean);
            let shown = 0;
            for (const row of table.tBodies[0].rows) {
                const fits =
                    words.every((word) => row.dataset.q.includes(word)) &&
                    ["model", "rung", "status"].every((name) => !asked.get(name) || row.dataset[name] === asked.get(name));
                row.hidden = !fits;
                shown += fits;
            }
            count.textContent = shown + " of " + table.tBodies[0].rows.length + " shown";
        }
        form.addEventListener("input", apply);
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            apply();
        });
        apply();
    }

    document.querySelectorAll("table[data-sortable]").forEach(sortable);
    document.querySelectorAll("form[data-filters]").forEach(filtering);
})();
