# frozen_string_literal: true

require 'logger'

# A client for Amazon Kinesis Data Streams: a Producer sends records to a stream, a
# Consumer hands those of a stream to a block. See docs/ruby.md.
module Vegas
  class << self
    # Where the engine's log goes, and failures that nobody looked at. The default
    # writes warnings to standard error. Set it before the first Producer or
    # Consumer: its level then is the engine's.
    attr_writer :logger

    def logger
      @logger ||= Logger.new($stderr, level: Logger::WARN, progname: 'vegas')
    end
  end
end

require_relative 'vegas/version'
require_relative 'vegas/spec'
require_relative 'vegas/value'
require_relative 'vegas/options'
require_relative 'vegas/errand'
require_relative 'vegas/binary'
require_relative 'vegas/session'
require_relative 'vegas/engine'
require_relative 'vegas/headers'
require_relative 'vegas/batch'
require_relative 'vegas/delivery'
require_relative 'vegas/failures'
require_relative 'vegas/producer'
require_relative 'vegas/record'
require_relative 'vegas/shard'
require_relative 'vegas/consumer'
require_relative 'vegas/testing'
