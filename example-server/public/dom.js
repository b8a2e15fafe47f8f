/** The element with this id. */
export const $ = id => document.getElementById(id)

/** A new element. Text children stay text, so HTML in them has no effect. */
export function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** Shows a problem at the top of the page, where screen readers announce it at once; '' removes it. */
export function notice (sentence, kind = 'problem') {
  $('notice').dataset.kind = kind
  $('notice').hidden = sentence === ''
  if ($('notice').textContent !== sentence) $('notice').textContent = sentence // else it would be announced again
}

/** Shows a confirmation for a few seconds; screen readers announce it when they are idle. */
export function confirm (sentence) {
  $('status').textContent = sentence
  $('status').classList.add('shown')
  clearTimeout(confirm.timer)
  confirm.timer = setTimeout(() => $('status').classList.remove('shown'), 6000)
}

/**
 * Runs the work of a button, once at a time; `complain` receives its error, or null. The button is not disabled: it would
 * lose the focus, and keyboard users would start again from the top.
 */
export async function act (button, work, complain) {
  if (button.ariaBusy === 'true') return
  button.ariaBusy = 'true'
  complain(null)
  try {
    await work()
  } catch (problem) {
    complain(problem)
  } finally {
    button.ariaBusy = 'false'
  }
}
