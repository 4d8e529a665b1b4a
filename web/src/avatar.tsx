// A circle with the first letter of a name, in a colour that belongs to the name.

const COLOURS = 8;

export function Avatar({ name, isRoom = false, isHere }: { name: string; isRoom?: boolean; isHere?: boolean }) {
  const first = isRoom ? '#' : (Array.from(name)[0] ?? '?').toLocaleUpperCase();
  return (
    <span class={`avatar colour-${colourOf(name)}`} aria-hidden="true">
      {first}
      {isHere !== undefined && <span class={isHere ? 'dot is-here' : 'dot'} />}
    </span>
  );
}

export function colourOf(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)!) % 65_521;
  return sum % COLOURS;
}
