# frozen_string_literal: true

module Vegas
  # For tests of programs that use vegas.
  module Testing
    # A Kinesis of one's own, in the engine of this process, on a port of this machine.
    # Producers and consumers that are given its options use it; the groups' positions
    # are its own as well.
    class LocalKinesis
      # The URL, and what other processes need in their environment.
      attr_reader :endpoint, :environment

      # Streams are names, or a hash of names to numbers of shards. With a block the
      # server is given to it and stopped behind it.
      def self.open(streams: [], **options)
        local = new(streams: streams, **options)
        return local unless block_given?

        begin
          yield local
        ensure
          local.close
        end
      end

      def initialize(streams: [], port: 0, record_bytes: nil, no_limits: false, engine: nil)
        @engine = Engine.current(engine)
        @number = @engine.number
        started = @engine.open do |session|
          (@session = session).call(Spec::METHOD_START_LOCAL, {
            local: @number, streams: streams, port: port, record_bytes: record_bytes, no_limits: no_limits
          }.compact)
        end
        @endpoint = started['endpoint']
        @environment = started['environment']
      end

      # For producers and consumers: Vegas::Producer.new('orders', **local.options).
      def options
        { endpoint: @endpoint }
      end

      def close
        return if @closed

        @closed = true
        @session.call(Spec::METHOD_STOP_LOCAL, { local: @number })
        nil
      rescue EngineGoneError
        nil # and the server with it
      end
    end
  end
end
