/** The element of this id. */
export const $ = id => document.getElementById(id)

/** A new element. What is given as text stays text, whatever is in it. */
export function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** Puts a problem above everything, where it is read out at once; '' takes it away. */
export function notice (sentence, kind = 'problem') {
  $('notice').dataset.kind = kind
  $('notice').hidden = sentence === ''
  if ($('notice').textContent !== sentence) $('notice').textContent = sentence // else it would be read out again
}

/** Confirms what a person did, for a while; read out when there is time. */
export function confirm (sentence) {
  $('status').textContent = sentence
  $('status').classList.add('shown')
  clearTimeout(confirm.timer)
  confirm.timer = setTimeout(() => $('status').classList.remove('shown'), 6000)
}

/**
 * Runs what a button is for, once at a time; `complain` is told what went wrong, or null. The button is not disabled: it
 * would lose the focus, and whoever uses the keyboard would start again from the top.
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
