package main

// This file is the form of a results file: one record a line.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"millrace/bench/load"
)

// record is one line of a results file. Kind names the one field that is set beside it and Time.
type record struct {
	Kind        string       `json:"kind"`
	Time        time.Time    `json:"time"`
	Environment *environment `json:"environment,omitempty"`
	Server      *serverInfo  `json:"server,omitempty"`
	Missing     *missing     `json:"missing,omitempty"`
	Run         *run         `json:"run,omitempty"`
	Foreign     *foreignRun  `json:"foreign,omitempty"`
	Rounds      *roundsInfo  `json:"rounds,omitempty"`
	Figure      *figureInfo  `json:"figure,omitempty"`
}

// serverInfo describes a tracker: its version, build, command line and configuration. Names of files are relative to
// the tracker's own folder.
type serverInfo struct {
	Workload, Tracker, Title, Version, Build, Command, Config string
	CPUs                                                      string
}

// missing is a tracker, or another program, that could not take part.
type missing struct{ Name, Reason string }

// run is one run of the load tester against a tracker that was started for it.
type run struct {
	Workload, Tracker      string
	Round                  int     // from 1; runs of one round stand beside each other
	Rate                   float64 // announces per second that a step of a sweep asked for; 0 in all other workloads
	ServerCPUs, ClientCPUs string
	Others                 float64 // CPUs that processes other than the tracker and the load tester kept busy meanwhile
	Stolen                 float64 // CPUs that the host of a virtual machine took meanwhile
	Failed                 string  // the reason if there is no result
	Result                 *load.Result
}

// foreignRun is one run of aquatic_ws_load_test.
type foreignRun struct {
	Tracker      string
	Round        int
	Connections  int
	Responses    float64 // per second, as it reports them
	CPU          float64 // µs of the server's CPU per response
	Busy         float64 // CPU time of the server over time, both within the measurement
	ErrorsPerSec float64 // error responses per second
	Failed       string
}

// roundsInfo says whether the rounds of a workload agreed about a tracker's ratio to its reference.
type roundsInfo struct {
	Workload, Tracker, Reference, Figure string
	Rounds                               int
	Spread                               float64 // (largest − smallest) / median of the latest rounds' ratios
	Agree                                bool
}

// figureInfo is a figure that no run of the load tester gives: it was measured in another way and added by hand.
type figureInfo struct {
	Name  string
	Value float64
	How   string
}

// From longHistogram bytes on, an encoded histogram is left out of a record. Its percentiles stay. Time series and the
// points of distributions are left out too: the figures of hundreds of runs stay in the project.
const longHistogram = 4096

// appendRecord writes one record as a line.
func appendRecord(w io.Writer, r record) error {
	if r.Run != nil && r.Run.Result != nil {
		short := *r.Run.Result
		for _, d := range []*load.Distribution{&short.Latency.Reply, &short.Latency.Answer, &short.Latency.Handshake} {
			if d.Points = nil; len(d.Encoded) > longHistogram {
				d.Encoded = ""
			}
		}
		short.Series = nil
		copied := *r.Run
		copied.Result = &short
		r.Run = &copied
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot encode a record of kind %s: %w", r.Kind, err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// maxRecord is the longest line of a results file in bytes.
const maxRecord = 4 << 20

// readRecords reads results files.
func readRecords(names []string) ([][]record, error) {
	var files [][]record
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read the results: %w", err)
		}
		records, err := parseRecords(text)
		if err != nil {
			return nil, fmt.Errorf("cannot read the results in %s: %w", name, err)
		}
		files = append(files, records)
	}
	return files, nil
}

// parseRecords takes the text of a results file.
func parseRecords(text []byte) (records []record, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d is not a record: %w", n, err)
		}
		if !r.complete() {
			return nil, fmt.Errorf("line %d: a record of kind %q lacks its field", n, r.Kind)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

// complete reports whether the field that the kind names is set.
func (r *record) complete() bool {
	switch r.Kind {
	case "environment":
		return r.Environment != nil
	case "server":
		return r.Server != nil
	case "missing":
		return r.Missing != nil
	case "run":
		return r.Run != nil && (r.Run.Result != nil) != (r.Run.Failed != "")
	case "foreign":
		return r.Foreign != nil
	case "rounds":
		return r.Rounds != nil
	case "figure":
		return r.Figure != nil
	}
	return false
}
