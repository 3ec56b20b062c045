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
