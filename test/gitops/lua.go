package gitops

import (
	"encoding/json"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// Health runs a health check with the libraries that Argo CD opens, none of which knows strings, on an object as JSON,
// and returns its answer.
func Health(script string, object []byte) (status, message string, err error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable}
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(libraries[name]), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return "", "", err
		}
	}
	value, err := luajson.Decode(state, object)
	if err != nil {
		return "", "", err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	text, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return "", "", err
	}
	var answer struct{ Status, Message string }
	err = json.Unmarshal(text, &answer)
	return answer.Status, answer.Message, err
}
