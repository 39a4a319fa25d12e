# frozen_string_literal: true

module Vegas
  # A record as a consumer's block gets it. Data and the values of headers are binary
  # strings; force_encoding makes text of them.
  class Record
    # Position, with sub_sequence for records of an aggregate; attempt is 1 at first.
    attr_reader :partition_key, :data, :explicit_hash_key, :sequence, :sub_sequence, :attempt

    def initialize(run, key, data, headers, hash_key, sequence, sub, arrival, attempt, aggregated) # rubocop:disable Metrics/ParameterLists
      @run = run
      @partition_key = key
      @data = data
      @header_bytes = headers
      @explicit_hash_key = hash_key
      @sequence = sequence
      @sub_sequence = sub
      @arrival = arrival
      @attempt = attempt
      @aggregated = aggregated
    end

    def stream
      @run.stream
    end

    # Id of the shard.
    def shard
      @run.id
    end

    # Number of the worker's possession of the shard: a fencing token, which only
    # rises.
    def possession
      @run.possession
    end

    # The pairs in their order, with the face of a hash.
    def headers
      @headers ||= Headers.decode(@header_bytes)
    end

    # When the stream took it.
    def arrival_time
      Time.at(@arrival / 1000, @arrival % 1000, :millisecond)
    end

    # Whether it travelled in an aggregate.
    def aggregated?
      @aggregated
    end

    # Whether the shard is no longer this worker's to finish (:lease_lost, :grace_over
    # or :engine_gone): what the block does from now on is not checkpointed.
    def cancelled?
      @run.cancelled?
    end

    # Why no further records of the shard will come, nil if they will: :shutdown,
    # :handoff, :lease_lost, :grace_over, :engine_gone (it has died, and the records
    # come again by the next one).
    def stopping
      @run.stopping
    end

    def inspect
      "#<#{self.class} #{stream} #{shard} #{sequence}/#{sub_sequence} #{partition_key.inspect}, #{data.bytesize} bytes>"
    end

    # For Consumer#checkpoint.
    attr_reader :run
  end
end
