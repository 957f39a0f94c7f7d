'use strict';
document.body.classList.add('ready');
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const text = (row, column) => row.cells[column].textContent;
  heads.forEach((head, column) => head.firstElementChild.addEventListener('click', () => {
    // Numbers start with the largest, names with A; what has no number comes last.
    const numeric = head.classList.contains('number') || column === 3;
    const before = head.getAttribute('aria-sort');
    const down = before ? before === 'ascending' : numeric;
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const order = (a, b) => {
      if (!numeric) return (down ? -1 : 1) * text(a, column).localeCompare(text(b, column));
      const [x, y] = [parseFloat(text(a, column)), parseFloat(text(b, column))];
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return down ? y - x : x - y;
    };
    body.append(...[...body.rows].sort(order));
  }));
  const filters = [...document.querySelectorAll('.filters select')];
  for (const filter of filters) {
    const column = +filter.dataset.column;
    for (const value of new Set([...body.rows].map(row => text(row, column)))) filter.add(new Option(value));
    filter.addEventListener('change', () => {
      for (const row of body.rows) {
        row.hidden = filters.some(({value, dataset}) => value && text(row, +dataset.column) !== value);
      }
    });
  }
}
