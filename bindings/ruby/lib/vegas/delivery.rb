# frozen_string_literal: true

module Vegas
  # Where a record is: its shard and sequence number, and its index if it travelled
  # in an aggregate. Durable says that it is safe in the engine's durable buffer, and
  # will be stored at a place that is not known yet.
  Receipt = Struct.new(:shard, :sequence, :sub_sequence, :durable, keyword_init: true) do
    alias_method :durable?, :durable
  end

  # What Producer#send gives back: the result of one record, once there is one.
  class Delivery
    # For the producer: the record while it waits to cross, and what it costs.
    attr_reader :key, :hash_key, :headers, :data, :cost, :callback

    def initialize(producer, key, hash_key, headers, data, cost, callback) # rubocop:disable Metrics/ParameterLists
      @producer = producer
      @key = key
      @hash_key = hash_key
      @headers = headers
      @data = data
      @cost = cost
      @callback = callback
    end

    # Waits for the result: a Receipt, or the error is raised. Nil if there is none
    # within the timeout, in seconds.
    def value(timeout = nil)
      return unless wait(timeout)

      error = self.error
      raise error if error

      receipt
    end

    # Whether there is a result, waiting for it at most so many seconds.
    def wait(timeout = nil)
      done? || @producer.await(self, timeout)
    end

    def done?
      !@result.nil?
    end

    # Why the record was not stored, or may not have been; nil without a result, and
    # if it was stored.
    def error
      return unless @failed

      @seen = true
      @result
    end

    # Where the record was stored; nil otherwise.
    def receipt
      return if @failed || @result.nil?

      shard, sequence = @result
      Receipt.new(shard: shard, sequence: sequence, sub_sequence: @sub, durable: shard.nil?)
    end

    def inspect
      state = @result.nil? ? 'open' : (@failed ? @result.inspect : receipt.inspect)
      "#<#{self.class} #{state}>"
    end

    # For the producer.

    # The record has crossed.
    def crossed
      @key = @hash_key = @headers = @data = nil
    end

    # The place is shared by the records of a Kinesis record.
    def stored(place, sub)
      @sub = sub
      @result = place
    end

    def failed(error)
      @failed = true
      @result = error
    end

    # Whether nobody has looked at its failure.
    def overlooked?
      @failed && !@seen && !@callback
    end

    def failure
      @result if @failed
    end
  end
end
