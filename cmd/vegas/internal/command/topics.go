package command

import "github.com/spf13/cobra"

// topics are pages of help that belong to no command.
func topics() []*cobra.Command {
	page := func(use, short, long string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Long: long}
	}
	return []*cobra.Command{
		page("exit-codes", "What the exit code of a command says", `Exit codes

    0  done; for "vegas demo" also: nothing lost, reordered or changed, and nothing
       repeated but after a kill -9
    1  failed: what and why is on standard error, with the remedy where there is one
    2  wrong call: an unknown flag or command, a bad or missing argument; nothing was done
    3  partly done: "vegas produce" or "vegas buffer drain" could not store every
       record (the rest is stored); "vegas demo" ran to its end and its auditor found
       faults; "vegas buffer verify" found damage
    4  all is safe and not all is done: "vegas produce --durable" and "vegas buffer
       drain --leave-after" ended while records wait in the directory
  130  interrupted before the end (Ctrl-C, SIGTERM); "vegas consume", "vegas
       leases --watch" and "vegas dev", which have no end of their own, stop in
       order and exit with 0
  141  the reader of the output ended before the output did, as head does

"vegas dev -- COMMAND" exits with the code of the command it ran.`),

		page("environment", "Environment variables and configuration files", `Environment

vegas finds AWS as every AWS tool does. The most used variables are
  AWS_REGION                 the region, also --region
  AWS_PROFILE                the profile in ~/.aws, also --profile
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
                             credentials; container, instance and single sign-on
                             credentials work as well
  AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL
                             another endpoint than the region's, such as one of
                             "vegas dev", LocalStack or a VPC; also --endpoint. Without
                             a region, us-east-1 is assumed there
  AWS_CA_BUNDLE              certificates to trust, for "vegas dev --tls"

Of its own:
  VEGAS_STORE                where consumer groups keep their leases and positions,
                             also --store: file:DIR, sqlite:PATH, postgres:URL,
                             memory, or dynamodb:TABLE; default: dynamodb, the
                             table "vegas" of the account
  NO_COLOR                   set to anything: no colours (https://no-color.org)`),
	}
}
