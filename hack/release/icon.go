package main

import "encoding/base64"

// icon is a tower with a log in it: catalogues show an operator without an icon as broken.
func icon() string {
	const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">` +
		`<path fill="#2b4a6f" d="M8 8h10v8h8V8h12v8h8V8h10v18H8zM12 30h40v26H12z"/>` +
		`<path fill="#fff" d="M20 36h24v3H20zM20 43h24v3H20zM20 50h16v3H20z"/></svg>`
	return base64.StdEncoding.EncodeToString([]byte(picture))
}
