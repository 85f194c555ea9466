// A plate grows to its full size, or to nearly twice the room it has, and shrinks again.
for (const plate of document.querySelectorAll(".plate")) {
  const turn = () => plate.classList.toggle("whole");
  plate.addEventListener("click", turn);
  plate.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      turn();
    }
  });
}
