package localkinesis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// adminPath is where faults and the clock are reached over HTTP, by tests in
// other languages:
//
//	GET    /_vegas/faults        every fault so far, with its counts
//	POST   /_vegas/faults        {"do":"throttle","op":"PutRecords","count":3} injects one
//	DELETE /_vegas/faults/{id}   ends one; without an id all
//	GET    /_vegas/clock         {"now":"…"}
//	POST   /_vegas/clock         {"advance":"5m"} moves it
//	GET    /_vegas/health        204 once it serves
const adminPath = "/_vegas/"

// faultJSON is Fault over HTTP: durations are text ("250ms").
type faultJSON struct {
	ID        int     `json:"id,omitempty"`
	Do        Kind    `json:"do"`
	Op        string  `json:"op,omitempty"`
	Stream    string  `json:"stream,omitempty"`
	Shard     string  `json:"shard,omitempty"`
	After     int     `json:"after,omitempty"`
	Count     int     `json:"count,omitempty"`
	Rate      float64 `json:"rate,omitempty"`
	Entries   []int   `json:"entries,omitempty"`
	EntryRate float64 `json:"entry_rate,omitempty"`
	Code      string  `json:"code,omitempty"`
	Delay     string  `json:"delay,omitempty"`
	Requests  int     `json:"requests,omitempty"`
	Target    string  `json:"target,omitempty"`
	Seen      int     `json:"seen"`
	Fired     int     `json:"fired"`
	Active    bool    `json:"active"`
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	reply := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // a client that has gone is no concern of ours
	}
	bad := func(err error) { reply(http.StatusBadRequest, map[string]string{"error": err.Error()}) }
	// A web page must not reach a developer's server: browsers name their origin.
	if r.Header.Get("Origin") != "" {
		reply(http.StatusForbidden, map[string]string{"error": "the admin path is not for browsers"})
		return
	}
	path := strings.TrimPrefix(r.URL.Path, adminPath)
	head, rest, _ := strings.Cut(path, "/")
	switch r.Method + " " + head {
	case "GET health":
		w.WriteHeader(http.StatusNoContent)
	case "GET faults":
		out := []faultJSON{}
		for _, f := range s.Faults() {
			out = append(out, f.json())
		}
		reply(http.StatusOK, out)
	case "POST faults":
		var in faultJSON
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			bad(fmt.Errorf("fault: %w", err))
			return
		}
		f, err := in.fault()
		if err != nil {
			bad(err)
			return
		}
		i, err := s.faults.inject(f)
		if err != nil {
			bad(err)
			return
		}
		reply(http.StatusCreated, FaultStatus{ID: i.id, Fault: i.fault, Active: true}.json())
	case "DELETE faults":
		id, err := strconv.Atoi(rest)
		if rest != "" && err != nil {
			bad(fmt.Errorf("%q is no id of a fault", rest))
			return
		}
		s.faults.remove(id)
		w.WriteHeader(http.StatusNoContent)
	case "GET clock", "POST clock":
		if r.Method == http.MethodPost {
			var in struct {
				Advance string `json:"advance"`
			}
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
				bad(fmt.Errorf("clock: %w", err))
				return
			}
			d, err := time.ParseDuration(in.Advance)
			if err != nil || d < 0 {
				bad(fmt.Errorf("clock: advance %q: want a duration that is not negative, such as \"5m\"", in.Advance))
				return
			}
			s.Advance(d)
		}
		reply(http.StatusOK, map[string]string{"now": s.Now().UTC().Format(time.RFC3339Nano)})
	default:
		reply(http.StatusNotFound, map[string]string{"error": "no such admin path: " + r.Method + " " + r.URL.Path})
	}
}

func (f FaultStatus) json() faultJSON {
	w := f.Fault
	out := faultJSON{
		ID: f.ID, Do: w.Do, Op: w.Op, Stream: w.Stream, Shard: w.Shard, After: w.After, Count: w.Count, Rate: w.Rate,
		Entries: w.Entries, EntryRate: w.EntryRate, Code: w.Code, Requests: w.Requests, Target: w.Target,
		Seen: f.Seen, Fired: f.Fired, Active: f.Active,
	}
	if w.Delay != 0 {
		out.Delay = w.Delay.String()
	}
	return out
}

func (f faultJSON) fault() (Fault, error) {
	out := Fault{
		Do: f.Do, Op: f.Op, Stream: f.Stream, Shard: f.Shard, After: f.After, Count: f.Count, Rate: f.Rate,
		Entries: f.Entries, EntryRate: f.EntryRate, Code: f.Code, Requests: f.Requests, Target: f.Target,
	}
	if f.Delay != "" {
		d, err := time.ParseDuration(f.Delay)
		if err != nil {
			return out, fmt.Errorf("fault: delay: %w", err)
		}
		out.Delay = d
	}
	return out, nil
}

// remove ends the fault with that id, or all for 0.
func (f *faults) remove(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.all {
		if id == 0 || i.id == id {
			i.removed = true
		}
	}
	f.update()
}
