for (const figure of document.querySelectorAll(".figure")) {
  const places = JSON.parse(figure.dataset.places), read = figure.parentElement.nextElementSibling, mark = figure.querySelector(".mark");
  const show = (event) => {
    const box = figure.getBoundingClientRect();
    let best = null, least = 40 ** 2;
    for (const place of places) {
      const dx = place[0] * box.width - (event.clientX - box.left), dy = place[1] * box.height - (event.clientY - box.top);
      if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = place; }
    }
    mark.style.display = best ? "block" : "none";
    if (best) { mark.style.left = 100 * best[0] + "%"; mark.style.top = 100 * best[1] + "%"; read.textContent = best[2]; }
  };
  figure.addEventListener("pointermove", show);
  figure.addEventListener("pointerdown", show);
}
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const drawn of document.querySelectorAll("svg.code")) {
  const { points, pairs, flat, tilt } = JSON.parse(drawn.dataset.code);
  const lines = drawn.querySelectorAll("line"), dots = drawn.querySelectorAll(".dot");
  const pale = (depth) => (0.25 + 0.375 * (1 + depth)).toFixed(3);
  const put = (turn) => {
    const c = Math.cos(turn), s = Math.sin(turn), down = Math.sin(tilt), up = Math.cos(tilt);
    const seen = points.map(([x, y, z]) => {
      if (flat) return [c * x - s * y, s * x + c * y, 1];
      const back = c * z - s * x;
      return [c * x + s * z, up * y - down * back, down * y + up * back];
    });
    dots.forEach((dot, i) => {
      dot.setAttribute("cx", seen[i][0]); dot.setAttribute("cy", -seen[i][1]); dot.style.setProperty("--pale", pale(seen[i][2]));
    });
    lines.forEach((line, k) => {
      const [a, b] = pairs[k].map((i) => seen[i]);
      line.setAttribute("x1", a[0]); line.setAttribute("y1", -a[1]); line.setAttribute("x2", b[0]); line.setAttribute("y2", -b[1]);
      line.setAttribute("opacity", pale((a[2] + b[2]) / 2));
    });
  };
  const step = (now) => { put(now / 2000); requestAnimationFrame(step); };
  if (!still) requestAnimationFrame(step);
}
