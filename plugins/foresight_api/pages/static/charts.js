// Draws the charts of a page from the data in it, in the colours of the theme.
"use strict";
(function () {
    function coloured(value, style) {
        if (typeof value === "string") return value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
        if (Array.isArray(value)) return value.map((one) => coloured(one, style));
        if (value && typeof value === "object")
            return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, coloured(one, style)]));
        return value;
    }

    function draw(plot) {
        const stated = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
        const style = getComputedStyle(document.documentElement);
        const text = style.getPropertyValue("--text").trim();
        const grid = style.getPropertyValue("--border").trim();
        const figure = coloured(stated, style);
        const axis = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, automargin: true };
        const layout = Object.assign({}, figure.layout, {
            height: stated.height,
            paper_bgcolor: "rgba(0,0,0,0)",
            plot_bgcolor: "rgba(0,0,0,0)",
            font: { color: text, family: getComputedStyle(document.body).fontFamily, size: 12 },
            margin: { l: 50, r: 15, t: 10, b: 40 },
            legend: Object.assign({ orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, figure.layout.legend),
            hovermode: "closest",
        });
        for (const name of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name)))
            layout[name] = Object.assign({}, axis, layout[name]);
        window.Plotly.react(plot, figure.data, layout, { displayModeBar: false, responsive: true });
    }

    function all() {
        document.querySelectorAll(".plot[data-figure]").forEach(draw);
    }

    all();
    document.addEventListener("foresight-theme", all);
})();
